package merkle

import (
	"bytes"
	"slices"

	"github.com/larder-build/larder/internal/digest"
)

// Directory is what a serialized Directory refers to. Its slices alias the
// message. The zero value is ready for Parse, and parsing again reuses its
// memory.
type Directory struct {
	Files, Directories []Node
	Symlinks           []SymlinkNode

	names []nodeName // scratch of Validate
}

// Node is a FileNode or DirectoryNode.
type Node struct {
	Name   []byte
	Digest digest.Digest
}

// SymlinkNode is a symbolic link in a directory.
type SymlinkNode struct{ Name, Target []byte }

// Parse reads a serialized Directory whose digests are of the given function.
// It checks that a protobuf library could decode the message and that every
// file and directory has a well-formed digest. The error is an *Error.
func (d *Directory) Parse(fn digest.Function, msg []byte) error {
	if err := directoryShape.check(msg); err != nil {
		return err
	}
	d.Files, d.Directories, d.Symlinks = d.Files[:0], d.Directories[:0], d.Symlinks[:0]
	for len(msg) > 0 {
		f, rest, _ := next(msg)
		msg = rest
		switch {
		case f.is(1):
			if err := addNode(&d.Files, fn, f.data); err != nil {
				return err.In(at("files", len(d.Files)-1))
			}
		case f.is(2):
			if err := addNode(&d.Directories, fn, f.data); err != nil {
				return err.In(at("directories", len(d.Directories)-1))
			}
		case f.is(3):
			link, _ := parseSymlink(f.data)
			d.Symlinks = append(d.Symlinks, link)
		}
	}
	return nil
}

// addNode appends the FileNode or DirectoryNode msg, which is well formed.
func addNode(nodes *[]Node, fn digest.Function, msg []byte) *Error {
	*nodes = append(*nodes, Node{})
	node := &(*nodes)[len(*nodes)-1]
	var d rawDigest
	for len(msg) > 0 {
		f, rest, _ := next(msg)
		msg = rest
		switch {
		case f.is(1):
			node.Name = f.data
		case f.is(2):
			d.add(f.data)
		}
	}
	if !d.set {
		return &Error{Field: "digest", Value: string(node.Name), Reason: "must be set"}
	}
	return d.parse(fn, &node.Digest, "digest")
}

// nodeName is a name in a directory together with where it stands.
type nodeName struct {
	name  []byte
	field string
	index int
}

func (n *nodeName) err(reason string) *Error {
	return &Error{Field: at(n.field, n.index) + ".name", Value: string(n.name), Reason: reason}
}

// Validate checks the names and targets of the Directory that Parse has read:
// each name is one path segment, neither "." nor "..", and occurs once;
// symlinks have a target. It does not insist on the canonical order: an
// unsorted Directory means the same, only its digest differs. The error is an
// *Error.
func (d *Directory) Validate() error {
	d.names = d.names[:0]
	for i := range d.Files {
		d.names = append(d.names, nodeName{d.Files[i].Name, "files", i})
	}
	for i := range d.Directories {
		d.names = append(d.names, nodeName{d.Directories[i].Name, "directories", i})
	}
	for i := range d.Symlinks {
		if len(d.Symlinks[i].Target) == 0 {
			return &Error{Field: at("symlinks", i) + ".target", Value: string(d.Symlinks[i].Name), Reason: "must not be empty"}
		}
		d.names = append(d.names, nodeName{d.Symlinks[i].Name, "symlinks", i})
	}
	for i := range d.names {
		if reason := wrongName(d.names[i].name); reason != "" {
			return d.names[i].err(reason)
		}
	}
	return checkTwins(d.names)
}

// wrongName says what is wrong with a name in a directory, "" if nothing is.
func wrongName(name []byte) string {
	switch {
	case len(name) == 0:
		return "must not be empty"
	case string(name) == "." || string(name) == "..":
		return `must not be "." or ".."`
	case bytes.IndexByte(name, '/') >= 0:
		return "must be one path segment"
	}
	return ""
}

func checkTwins(names []nodeName) error {
	slices.SortFunc(names, func(a, b nodeName) int { return bytes.Compare(a.name, b.name) })
	for i := 1; i < len(names); i++ {
		if a, b := &names[i-1], &names[i]; bytes.Equal(a.name, b.name) {
			return b.err("is used twice, also by " + at(a.field, a.index))
		}
	}
	return nil
}
