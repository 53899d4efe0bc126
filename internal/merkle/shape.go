package merkle

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// shape is what a message's fields look like, by field number: as much of the
// message's descriptor as decides whether a protobuf library can decode it.
// Only fields that can make decoding fail are listed, the strings and the
// messages.
type shape []fieldShape

type fieldShape struct {
	name string
	// text is set for a string, whose bytes must be UTF-8.
	text bool
	// sub is the shape of a message.
	sub shape
}

var (
	digestShape    = shape{1: {name: "hash", text: true}}
	propertyShape  = shape{1: {name: "name", text: true}, 2: {name: "value", text: true}}
	scalarsShape   = shape{} // a message of numbers: Timestamp, Duration, UInt32Value
	anyShape       = shape{1: {name: "type_url", text: true}}
	nodePropsShape = shape{
		1: {name: "properties", sub: propertyShape},
		2: {name: "mtime", sub: scalarsShape},
		3: {name: "unix_mode", sub: scalarsShape},
	}
	outputFileShape = shape{
		1: {name: "path", text: true},
		2: {name: "digest", sub: digestShape},
		7: {name: "node_properties", sub: nodePropsShape},
	}
	outputDirectoryShape = shape{
		1: {name: "path", text: true},
		3: {name: "tree_digest", sub: digestShape},
		5: {name: "root_directory_digest", sub: digestShape},
	}
	// OutputSymlink and SymlinkNode have the same fields but for a name.
	outputSymlinkShape = shape{
		1: {name: "path", text: true},
		2: {name: "target", text: true},
		4: {name: "node_properties", sub: nodePropsShape},
	}
	metadataShape = shape{
		1:  {name: "worker", text: true},
		2:  {name: "queued_timestamp", sub: scalarsShape},
		3:  {name: "worker_start_timestamp", sub: scalarsShape},
		4:  {name: "worker_completed_timestamp", sub: scalarsShape},
		5:  {name: "input_fetch_start_timestamp", sub: scalarsShape},
		6:  {name: "input_fetch_completed_timestamp", sub: scalarsShape},
		7:  {name: "execution_start_timestamp", sub: scalarsShape},
		8:  {name: "execution_completed_timestamp", sub: scalarsShape},
		9:  {name: "output_upload_start_timestamp", sub: scalarsShape},
		10: {name: "output_upload_completed_timestamp", sub: scalarsShape},
		11: {name: "auxiliary_metadata", sub: anyShape},
		12: {name: "virtual_execution_duration", sub: scalarsShape},
	}
	actionResultShape = shape{
		2:  {name: "output_files", sub: outputFileShape},
		3:  {name: "output_directories", sub: outputDirectoryShape},
		6:  {name: "stdout_digest", sub: digestShape},
		8:  {name: "stderr_digest", sub: digestShape},
		9:  {name: "execution_metadata", sub: metadataShape},
		10: {name: "output_file_symlinks", sub: outputSymlinkShape},
		11: {name: "output_directory_symlinks", sub: outputSymlinkShape},
		12: {name: "output_symlinks", sub: outputSymlinkShape},
	}
	directoryShape = shape{
		1: {name: "files", sub: shape{
			1: {name: "name", text: true},
			2: {name: "digest", sub: digestShape},
			6: {name: "node_properties", sub: nodePropsShape},
		}},
		2: {name: "directories", sub: shape{
			1: {name: "name", text: true},
			2: {name: "digest", sub: digestShape},
		}},
		3: {name: "symlinks", sub: shape{
			1: {name: "name", text: true},
			2: {name: "target", text: true},
			4: {name: "node_properties", sub: nodePropsShape},
		}},
		5: {name: "node_properties", sub: nodePropsShape},
	}
)

// check reports why a protobuf library could not decode msg as a message of
// that shape, and nil if it could. The shapes nest four deep and do not
// recurse.
func (s shape) check(msg []byte) *Error {
	for len(msg) > 0 {
		f, rest, ok := next(msg)
		if !ok {
			return &Error{Reason: malformed}
		}
		msg = rest
		if f.typ != protowire.BytesType || int(f.num) >= len(s) {
			continue
		}
		switch known := &s[f.num]; {
		case known.text && !utf8.Valid(f.data):
			return &Error{Field: known.name, Value: string(f.data), Reason: "is not valid UTF-8"}
		case known.sub != nil:
			if err := known.sub.check(f.data); err != nil {
				return err.In(known.name)
			}
		}
	}
	return nil
}
