package blobstore

import (
	"errors"
	"fmt"
)

// The errors of a store, matched with errors.Is. A store wraps them with what
// it knows; the listeners translate them. Whatever else a store returns is a
// failure of its own, and never means that a blob is missing.
var (
	// ErrNotFound means that the store certainly does not have the blob.
	ErrNotFound = errors.New("blob not found")
	// ErrCorrupt means that the stored bytes are not those that were written.
	// The store has dropped the blob.
	ErrCorrupt = errors.New("stored blob is corrupt and was dropped")
	// ErrUnavailable means that the store cannot answer now; a retry may help.
	ErrUnavailable = errors.New("blob store unavailable")
	// ErrNoSpace means that there is no room to write to.
	ErrNoSpace = errors.New("no space left in the blob store")
	// ErrTooLarge means that the blob is larger than the store ever takes.
	ErrTooLarge = errors.New("blob too large")
	// ErrMismatch is what every *MismatchError is.
	ErrMismatch = errors.New("content does not match its digest")
	// ErrClosed means that the store was closed.
	ErrClosed = fmt.Errorf("%w: store is closed", ErrUnavailable)
)

// MismatchError tells that a writer's content is not what its key says. It is
// the client's fault, and a retry with the same bytes will not help.
type MismatchError struct {
	Key Key
	// Reason says what differs, with the values: "content has 5 bytes".
	Reason string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("content does not match digest %v: %s", e.Key.Digest, e.Reason)
}

// Is makes errors.Is(err, ErrMismatch) true.
func (e *MismatchError) Is(target error) bool { return target == ErrMismatch }
