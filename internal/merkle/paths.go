package merkle

import (
	"bytes"
	"cmp"
	"slices"
)

// Validate checks what a client may store as the result that Parse has read:
// that any client's protobuf library can decode it, that every output file and
// directory has a digest (or inlined content), that paths are relative, have
// no empty, "." or ".." segment, do not occur twice and do not lie below a file
// or symlink, and that symlinks have a target. The same symlink may stand both
// in output_symlinks and in a deprecated field (rule 26). The path of an output
// directory may be empty, which means the whole working directory. The error
// is an *Error.
func (r *ActionResult) Validate() error {
	if err := actionResultShape.check(r.msg); err != nil {
		return err
	}
	for i := range r.Files {
		if f := &r.Files[i]; !f.Digest.Valid() && len(f.Contents) == 0 {
			return &Error{Field: at("output_files", i) + ".digest", Value: string(f.Path), Reason: "must be set"}
		}
	}
	for i := range r.Directories {
		if d := &r.Directories[i]; !d.Tree.Valid() && !d.Root.Valid() {
			return &Error{Field: at("output_directories", i) + ".tree_digest", Value: string(d.Path), Reason: "must be set, or root_directory_digest"}
		}
	}
	return r.checkPaths()
}

// outputPath is an output's path together with where it stands.
type outputPath struct {
	path, target []byte
	field        string
	index        int
}

// leaf reports whether nothing can lie below the output.
func (p *outputPath) leaf() bool { return p.field != "output_directories" }

func (p *outputPath) err(reason string) *Error {
	return &Error{Field: at(p.field, p.index) + ".path", Value: string(p.path), Reason: reason}
}

func (r *ActionResult) checkPaths() error {
	r.paths = r.paths[:0]
	for i := range r.Files {
		r.paths = append(r.paths, outputPath{path: r.Files[i].Path, field: "output_files", index: i})
	}
	for i := range r.Directories {
		r.paths = append(r.paths, outputPath{path: r.Directories[i].Path, field: "output_directories", index: i})
	}
	r.addSymlinkPaths("output_symlinks", r.Symlinks)
	r.addSymlinkPaths("output_file_symlinks", r.FileSymlinks)
	r.addSymlinkPaths("output_directory_symlinks", r.DirectorySymlinks)
	for i := range r.paths {
		p := &r.paths[i]
		if reason := wrongPath(p.path, !p.leaf()); reason != "" {
			return p.err(reason)
		}
		if p.target != nil && len(p.target) == 0 {
			return &Error{Field: at(p.field, p.index) + ".target", Value: string(p.path), Reason: "must not be empty"}
		}
	}
	return checkOverlap(r.paths)
}

func (r *ActionResult) addSymlinkPaths(name string, links []OutputSymlink) {
	for i := range links {
		target := links[i].Target
		if target == nil {
			target = []byte{}
		}
		r.paths = append(r.paths, outputPath{path: links[i].Path, target: target, field: name, index: i})
	}
}

// wrongPath says what is wrong with an output's path, "" if nothing is.
func wrongPath(path []byte, mayBeEmpty bool) string {
	switch {
	case len(path) == 0 && mayBeEmpty:
		return ""
	case len(path) == 0:
		return "must not be empty"
	case path[0] == '/':
		return "must be relative"
	}
	for more := true; more; {
		var segment []byte
		segment, path, more = bytes.Cut(path, slash)
		switch {
		case len(segment) == 0:
			return "must not have an empty segment"
		case string(segment) == ".":
			return `must not have a "." segment`
		case string(segment) == "..":
			return `must not have a ".." segment`
		}
	}
	return ""
}

var slash = []byte{'/'}

// checkOverlap sorts paths such that what lies below an output follows right
// after it, and compares neighbours.
func checkOverlap(paths []outputPath) error {
	slices.SortFunc(paths, func(a, b outputPath) int { return comparePaths(a.path, b.path) })
	for i := 1; i < len(paths); i++ {
		above, below := &paths[i-1], &paths[i]
		switch {
		case bytes.Equal(above.path, below.path):
			if !sameSymlink(above, below) {
				return below.err("is used twice, also by " + at(above.field, above.index))
			}
		case above.leaf() && isBelow(below.path, above.path):
			return below.err("lies below " + at(above.field, above.index) + ", which is not a directory")
		}
	}
	return nil
}

// sameSymlink reports whether a and b are one symlink told in two fields, the
// current and a deprecated one.
func sameSymlink(a, b *outputPath) bool {
	return a.target != nil && b.target != nil && a.field != b.field && bytes.Equal(a.target, b.target)
}

func isBelow(path, dir []byte) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && bytes.HasPrefix(path, dir)
}

// comparePaths orders by bytes with the slash before all others, so that no
// path stands between a directory and what is in it.
func comparePaths(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		switch {
		case a[i] == b[i]:
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		default:
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}
