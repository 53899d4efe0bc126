// Package blobstore is the contract of everything that keeps blobs: what a key
// is, the verbs a store has, and the errors it answers with. The stores
// (segment, memory, later bucket and upstream) and the decorators around them
// (metered, later tiered and existence) all satisfy Store, and all pass the
// suite in storetest.
//
// A store knows no protocol: the listeners turn its errors into gRPC and HTTP
// codes, each in one place.
package blobstore

import (
	"context"
	"io"
)

// Encoding is the form in which a blob's bytes are kept or sent. The values
// are those of the protocol's Compressor.Value enum.
type Encoding uint8

const (
	// Identity is the blob's bytes as they are.
	Identity Encoding = 0
	// Zstd is one or more zstd frames (RFC 8878) that decode to the blob.
	Zstd Encoding = 1
)

func (e Encoding) String() string {
	switch e {
	case Identity:
		return "identity"
	case Zstd:
		return "zstd"
	}
	return "unknown encoding"
}

// Store is what a listener needs: read, write, and ask what is missing.
type Store interface {
	Getter
	Putter
	MissingFinder
}

// Getter reads blobs.
type Getter interface {
	// Get opens the blob of the key in the form it is stored in. It counts as a
	// use: the store keeps a used blob longer than one that is not.
	//
	// The error is ErrNotFound if the store certainly has no such blob, also
	// where it has one of that hash with another size (rule 2); ErrCorrupt if it
	// had one and the bytes are no longer those that were written: the store has
	// then forgotten it, so that the next answer is ErrNotFound and a client can
	// write it again. A store that cannot tell answers ErrUnavailable. The size
	// in a CAS key may be digest.SizeUnknown; the size in an AC key is ignored.
	//
	// The context bounds the whole reading, not only the opening. The caller
	// must Close the reader.
	Get(ctx context.Context, key Key) (Reader, error)
}

// Reader reads one blob's stored bytes. Every byte it returns has been checked
// against the store's own checksum first. It is used by one goroutine at a
// time.
type Reader interface {
	// Read fills p with the next stored bytes. It is cheapest with p of a
	// multiple of ReadBlock bytes. The error is io.EOF at the end, ErrCorrupt
	// where the checksum fails.
	io.Reader
	// Close releases what the reader holds. It may be called twice.
	io.Closer
	// Size is the blob's logical (uncompressed) size in bytes, never unknown.
	Size() int64
	// StoredSize is the number of stored bytes, from offset 0.
	StoredSize() int64
	// Encoding is the form of the stored bytes.
	Encoding() Encoding
	// SeekTo makes offset, in stored bytes, the place of the next Read. It must
	// be from 0 to StoredSize. Nothing before it is read.
	SeekTo(offset int64) error
}

// MappedReader is a Reader that can have its bytes in memory without reading
// them, at times.
type MappedReader interface {
	Reader
	// Mapped returns the next n stored bytes as the file's own pages, if the store
	// checked them so lately that it vouches for them; otherwise nil, and they must
	// be read. They are for the system to send, with a write to a socket, and for
	// nothing else: they are memory that the disk may fail to bring, which ends a
	// program that looks at it and not one that writes it. They are good until
	// Close.
	Mapped(n int64) []byte
}

// ReadBlock is the size in bytes at whose multiples reads are cheapest.
const ReadBlock = 64 << 10

// Putter writes blobs. What it acknowledges is there: a Get or FindMissing
// that begins afterwards finds it.
//
// A store verifies what it is given, in the CAS, at the border where bytes
// enter: the content must have the size and hash of the key. AC content is
// taken as it comes.
type Putter interface {
	// Create begins a blob and reserves the room for it, so that a write which
	// has begun does not fail later for want of space. It answers ErrNoSpace if
	// there is none, ErrTooLarge if the blob could never fit. The key's size
	// must be known. The context bounds the whole writing.
	Create(ctx context.Context, spec Spec) (Writer, error)

	// Put writes many small blobs at once, as one write where the store can.
	// The answer has an error, or nil, per blob, in the order of blobs; one
	// blob's failure is not another's. It does not keep Data after it returns.
	Put(ctx context.Context, blobs []Blob) []error
}

// Spec tells what is going to be written.
type Spec struct {
	Key Key
	// Size is the content's logical size in bytes; in the CAS the digest's own.
	Size int64
	// Encoding is the form in which the content will be written.
	Encoding Encoding
}

// Blob is a small blob in memory.
type Blob struct {
	Spec
	// Data is the content in the form of Encoding.
	Data []byte
}

// Writer takes one blob's content. It is used by one goroutine at a time.
type Writer interface {
	// Write appends content. It fails with a *MismatchError as soon as there is
	// more than the size allows or a compressed stream cannot be decoded, and
	// with ErrNoSpace where a compressed stream outgrows its room.
	io.Writer
	// Commit makes the blob visible, if the content matches; otherwise the
	// answer is a *MismatchError and the content is discarded. If the same blob
	// was committed by another meanwhile, Commit succeeds and keeps one of them.
	Commit() error
	// Abort discards the content. After Commit or another Abort it does
	// nothing, so it can be deferred.
	Abort()
}

// MissingFinder tells which blobs are absent.
type MissingFinder interface {
	// FindMissing returns the indexes into keys, ascending, of those that the
	// store does not have (with that size, in the CAS). It counts as a use of
	// the others. Where the store cannot tell it fails with ErrUnavailable and
	// names none: an error is never a "missing".
	FindMissing(ctx context.Context, keys []Key) ([]int, error)
}

// Remover is a store that can forget a blob on request.
type Remover interface {
	// Remove makes the blob absent, also after a restart. Removing an absent
	// blob is no error.
	Remove(ctx context.Context, key Key) error
}
