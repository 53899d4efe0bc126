// Package merkle reads the messages that hold action results and directory
// trees, in the serialized form they are stored in. Nothing is decoded into
// generated structs: a walk reports the digests, paths and names it meets as
// slices of the message, and says what breaks the protocol's rules and where.
//
// The messages are ActionResult, Directory and Tree of
// build.bazel.remote.execution.v2
// (https://github.com/bazelbuild/remote-apis). Everything here works on
// untrusted bytes: depth, counts and sizes are limited by the constants below,
// and nothing recurses.
package merkle

import "fmt"

const (
	// MaxDepth is the number of levels a tree of separately stored directories
	// may have. A path that deep is longer than any operating system takes.
	MaxDepth = 2048
	// MaxPending is the number of directories a Walker keeps in mind to visit
	// later. It bounds the memory of a walk to about 25 MB.
	MaxPending = 1 << 18
)

// Error tells which field of a message breaks a rule of the protocol.
type Error struct {
	// Field is the path to the field from the message that was read, such as
	// "output_files[3].path"; empty for the message itself.
	Field string
	// Value is the offending value, if it can be shown.
	Value string
	// Reason says what is wrong: "must be relative".
	Reason string
}

func (e *Error) Error() string {
	switch {
	case e.Field == "":
		return e.Reason
	case e.Value == "":
		return fmt.Sprintf("%s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("%s %.256q: %s", e.Field, e.Value, e.Reason)
}

// In returns the error as seen from the message that holds e's message in the
// field parent.
func (e *Error) In(parent string) *Error {
	seen := *e
	if seen.Field != "" {
		parent += "."
	}
	seen.Field = parent + seen.Field
	return &seen
}

func at(field string, index int) string { return fmt.Sprintf("%s[%d]", field, index) }
