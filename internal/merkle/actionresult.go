package merkle

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/larder-build/larder/internal/digest"
)

// The field numbers of ActionResult and OutputFile that are rewritten.
const (
	fieldOutputFiles = 2
	fieldStdoutRaw   = 5
	fieldStdout      = 6
	fieldStderrRaw   = 7
	fieldStderr      = 8
	fieldMetadata    = 9

	fieldFileDigest   = 2
	fieldFileContents = 5
)

// ActionResult is what a serialized ActionResult refers to. Its slices alias
// the message. The zero value is ready for Parse, and parsing again reuses its
// memory.
type ActionResult struct {
	Files       []OutputFile
	Directories []OutputDirectory
	// Symlinks is output_symlinks; FileSymlinks and DirectorySymlinks are the
	// deprecated fields that repeat them for clients of version 2.0 (rule 26).
	Symlinks, FileSymlinks, DirectorySymlinks []OutputSymlink
	Stdout, Stderr                            Stream
	// Empty is set when every field has its default value, so that a client's
	// library would write the message as no bytes at all (rule 25).
	Empty bool

	msg   []byte
	paths []outputPath // scratch of checkPaths
}

// Stream is an action's standard output or error.
type Stream struct {
	// Digest is the zero Digest when the message has none.
	Digest digest.Digest
	// Raw is the inlined content, empty when it is not inlined.
	Raw []byte
	// Inline tells AppendInlined to inline the content.
	Inline bool

	hasDigest bool
}

// OutputFile is a file that an action made.
type OutputFile struct {
	Path []byte
	// Digest is the zero Digest when the message has none.
	Digest digest.Digest
	// Contents is the inlined content, empty when it is not inlined.
	Contents []byte
	// Inline tells AppendInlined to inline the content.
	Inline bool

	hasDigest  bool
	msg        []byte // the OutputFile message
	start, end int    // of the whole field in the ActionResult
}

// OutputDirectory is a directory that an action made, as a Tree, as a
// hierarchy of directories, or both.
type OutputDirectory struct {
	Path []byte
	// Tree and Root are the zero Digest when the message has none.
	Tree, Root digest.Digest
	// Sorted is is_topologically_sorted (rule 33).
	Sorted bool
}

// OutputSymlink is a symbolic link that an action made.
type OutputSymlink struct{ Path, Target []byte }

// Parse reads a serialized ActionResult whose digests are of the given
// function. It checks what it needs to find the digests: the encoding, and the
// digests themselves. The error is an *Error.
func (r *ActionResult) Parse(fn digest.Function, msg []byte) error {
	r.reset(msg)
	var stdout, stderr rawDigest
	for rest := msg; len(rest) > 0; {
		f, tail, ok := next(rest)
		if !ok {
			return &Error{Reason: malformed}
		}
		r.Empty = r.Empty && f.isDefault()
		if f.typ == protowire.BytesType {
			if err := r.add(fn, &f, &stdout, &stderr); err != nil {
				return err
			}
		}
		if f.is(fieldOutputFiles) {
			file := &r.Files[len(r.Files)-1]
			file.start, file.end = len(msg)-len(rest), len(msg)-len(tail)
		}
		rest = tail
	}
	if err := stdout.parse(fn, &r.Stdout.Digest, "stdout_digest"); err != nil {
		return err
	}
	if err := stderr.parse(fn, &r.Stderr.Digest, "stderr_digest"); err != nil {
		return err
	}
	r.Stdout.hasDigest, r.Stderr.hasDigest = stdout.set, stderr.set
	return nil
}

// isDefault reports whether a field of an ActionResult is one that a protobuf
// library leaves out when it writes the message: a zero exit_code, or no raw
// output.
func (f *field) isDefault() bool {
	if f.typ == protowire.BytesType {
		return len(f.data) == 0 && (f.num == fieldStdoutRaw || f.num == fieldStderrRaw)
	}
	return f.typ == protowire.VarintType && f.value == 0
}

func (r *ActionResult) reset(msg []byte) {
	*r = ActionResult{
		Files:             r.Files[:0],
		Directories:       r.Directories[:0],
		Symlinks:          r.Symlinks[:0],
		FileSymlinks:      r.FileSymlinks[:0],
		DirectorySymlinks: r.DirectorySymlinks[:0],
		Empty:             true,
		msg:               msg,
		paths:             r.paths[:0],
	}
}

func (r *ActionResult) add(fn digest.Function, f *field, stdout, stderr *rawDigest) error {
	switch f.num {
	case fieldOutputFiles:
		r.Files = append(r.Files, OutputFile{msg: f.data})
		if err := r.Files[len(r.Files)-1].parse(fn); err != nil {
			return err.In(at("output_files", len(r.Files)-1))
		}
	case 3:
		r.Directories = append(r.Directories, OutputDirectory{})
		if err := r.Directories[len(r.Directories)-1].parse(fn, f.data); err != nil {
			return err.In(at("output_directories", len(r.Directories)-1))
		}
	case fieldStdoutRaw:
		r.Stdout.Raw = f.data
	case fieldStdout:
		if !stdout.add(f.data) {
			return &Error{Field: "stdout_digest", Reason: malformed}
		}
	case fieldStderrRaw:
		r.Stderr.Raw = f.data
	case fieldStderr:
		if !stderr.add(f.data) {
			return &Error{Field: "stderr_digest", Reason: malformed}
		}
	case 10:
		return addSymlink(&r.FileSymlinks, f.data, "output_file_symlinks")
	case 11:
		return addSymlink(&r.DirectorySymlinks, f.data, "output_directory_symlinks")
	case 12:
		return addSymlink(&r.Symlinks, f.data, "output_symlinks")
	}
	return nil
}

func (o *OutputFile) parse(fn digest.Function) *Error {
	var d rawDigest
	for msg := o.msg; len(msg) > 0; {
		f, rest, ok := next(msg)
		if !ok {
			return &Error{Reason: malformed}
		}
		msg = rest
		switch {
		case f.is(1):
			o.Path = f.data
		case f.is(fieldFileDigest):
			if !d.add(f.data) {
				return &Error{Field: "digest", Reason: malformed}
			}
		case f.is(fieldFileContents):
			o.Contents = f.data
		}
	}
	o.hasDigest = d.set
	return d.parse(fn, &o.Digest, "digest")
}

func (o *OutputDirectory) parse(fn digest.Function, msg []byte) *Error {
	var tree, root rawDigest
	for len(msg) > 0 {
		f, rest, ok := next(msg)
		if !ok {
			return &Error{Reason: malformed}
		}
		msg = rest
		switch {
		case f.is(1):
			o.Path = f.data
		case f.is(3):
			if !tree.add(f.data) {
				return &Error{Field: "tree_digest", Reason: malformed}
			}
		case f.num == 4 && f.typ == protowire.VarintType:
			o.Sorted = f.value != 0
		case f.is(5):
			if !root.add(f.data) {
				return &Error{Field: "root_directory_digest", Reason: malformed}
			}
		}
	}
	if err := tree.parse(fn, &o.Tree, "tree_digest"); err != nil {
		return err
	}
	return root.parse(fn, &o.Root, "root_directory_digest")
}

func addSymlink(list *[]OutputSymlink, msg []byte, name string) error {
	link, ok := parseSymlink(msg)
	if !ok {
		return &Error{Field: at(name, len(*list)), Reason: malformed}
	}
	*list = append(*list, OutputSymlink{Path: link.Name, Target: link.Target})
	return nil
}

// parseSymlink reads an OutputSymlink or a SymlinkNode, which look the same.
func parseSymlink(msg []byte) (s SymlinkNode, ok bool) {
	for len(msg) > 0 {
		var f field
		if f, msg, ok = next(msg); !ok {
			return s, false
		}
		switch {
		case f.is(1):
			s.Name = f.data
		case f.is(2):
			s.Target = f.data
		}
	}
	return s, true
}
