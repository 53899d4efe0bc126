// Package resourcename reads and writes the names that ByteStream gives to
// blobs and uploads:
//
//	{instance/}blobs/{function/}{hash}/{size}
//	{instance/}compressed-blobs/{compressor}/{function/}{hash}/{size}
//	{instance/}uploads/{uuid}/blobs/{function/}{hash}/{size}{/metadata}
//	{instance/}uploads/{uuid}/compressed-blobs/{compressor}/{function/}{hash}/{size}{/metadata}
//
// An instance name may span several path segments or be empty, in which case
// its slash is absent too. No segment of it may be one of the protocol's
// keywords, so the first keyword in a name ends the instance name, and names
// are parsed by keyword, never by counting slashes (rules 5 and 6 of the
// protocol; remote_execution.proto, "ContentAddressableStorage").
package resourcename

import (
	"strconv"

	"github.com/larder-build/larder/internal/digest"
)

// MaxUploadIDLen is the length in bytes of the longest upload id. The protocol
// asks for a UUID, whose text has 36.
const MaxUploadIDLen = 128

// Compressor is the form in which a name wants the blob's bytes. The values are
// those of the protocol's Compressor.Value enum.
type Compressor uint8

const (
	// Identity is the bytes as they are: a "blobs" name.
	Identity Compressor = 0
	// Zstd is a "compressed-blobs/zstd" name.
	Zstd Compressor = 1
)

// String returns the compressor's lower-case name.
func (c Compressor) String() string {
	switch c {
	case Identity:
		return "identity"
	case Zstd:
		return "zstd"
	}
	return "compressor " + strconv.Itoa(int(c))
}

// Read is the name of a blob to read. Values compare with ==.
type Read struct {
	// Instance is the instance name, empty where the name has none.
	Instance string
	// Digest is of the uncompressed content; its size is known.
	Digest digest.Digest
	// Encoding is the form in which the bytes travel.
	Encoding Compressor
}

// Write is the name of an upload. Values compare with ==.
type Write struct {
	Read
	// UploadID tells this upload from others of the same blob, at most
	// MaxUploadIDLen bytes. Clients may use one id for uploads of different
	// blobs, so an upload is known by its id and digest together.
	UploadID string
}

// String returns the resource name. ParseRead of it returns r.
func (r Read) String() string {
	return string(r.appendBlob(appendInstance(r.buffer(0), r.Instance)))
}

// String returns the resource name. ParseWrite of it returns w.
func (w Write) String() string {
	b := appendInstance(w.buffer(len("uploads/")+len(w.UploadID)+1), w.Instance)
	b = append(b, "uploads/"...)
	b = append(b, w.UploadID...)
	b = append(b, '/')
	return string(w.appendBlob(b))
}

// buffer returns an empty buffer with room for r's name and extra bytes.
func (r *Read) buffer(extra int) []byte {
	const blob = len("/compressed-blobs/zstd/sha256tree//9223372036854775807") + 2*digest.MaxHashSize
	return make([]byte, 0, len(r.Instance)+blob+extra)
}

func appendInstance(b []byte, instance string) []byte {
	if instance == "" {
		return b
	}
	return append(append(b, instance...), '/')
}

func (r *Read) appendBlob(b []byte) []byte {
	if r.Encoding == Identity {
		b = append(b, "blobs/"...)
	} else {
		b = append(b, "compressed-blobs/"...)
		b = append(append(b, r.Encoding.String()...), '/')
	}
	if s := r.Digest.Function().Segment(); s != "" {
		b = append(append(b, s...), '/')
	}
	b = append(r.Digest.AppendHex(b), '/')
	return strconv.AppendInt(b, r.Digest.Size(), 10)
}
