package merkle

import (
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/internal/digest"
)

// ErrMissing is what a Walker's read function answers for a directory that is
// not there. The walk leaves out what is below it.
var ErrMissing = errors.New("directory is missing")

// Walker visits the directories of a tree whose directories are stored as
// blobs of their own, parents before children, each directory once however
// often the tree repeats it. It keeps the digests still to visit, not the
// directories, and does not recurse. NewWalker and Resume make one.
type Walker struct {
	fn    digest.Function
	read  func(digest.Digest) ([]byte, error)
	seen  map[digest.Digest]struct{}
	stack []level
	// pending counts the digests in stack.
	pending int
	dir     Directory
}

// level is the subdirectories of one directory on the way from the root.
type level struct {
	children []digest.Digest
	// next is the index of the child to visit next; the one before it is on
	// the way to the directory returned last.
	next int
}

// NewWalker returns a Walker over the tree below root. Read returns a
// directory's serialized bytes, which the walker uses until its next call of
// read; ErrMissing if it is not there; any other error ends the walk.
func NewWalker(root digest.Digest, read func(digest.Digest) ([]byte, error)) *Walker {
	return &Walker{
		fn:      root.Function(),
		read:    read,
		seen:    map[digest.Digest]struct{}{},
		stack:   []level{{children: []digest.Digest{root}}},
		pending: 1,
	}
}

// Next returns the next directory, its serialized bytes and its parsed form,
// both valid until the next call. The error is io.EOF after the last
// directory; an *Error for a blob that is not a Directory, or a tree that
// passes MaxDepth or MaxPending; or what read answered.
func (w *Walker) Next() ([]byte, *Directory, error) {
	for len(w.stack) > 0 {
		top := &w.stack[len(w.stack)-1]
		if top.next == len(top.children) {
			w.pending -= len(top.children)
			w.stack = w.stack[:len(w.stack)-1]
			continue
		}
		d := top.children[top.next]
		top.next++
		if _, ok := w.seen[d]; ok {
			continue
		}
		w.seen[d] = struct{}{}
		msg, err := w.enter(d)
		if errors.Is(err, ErrMissing) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		return msg, &w.dir, nil
	}
	return nil, nil, io.EOF
}

// enter reads the directory and puts its children on the stack.
func (w *Walker) enter(d digest.Digest) ([]byte, error) {
	msg, err := w.read(d)
	if err != nil {
		return nil, err
	}
	if err := w.dir.Parse(w.fn, msg); err != nil {
		return nil, inDirectory(err, d)
	}
	n := len(w.dir.Directories)
	switch {
	case len(w.stack) > MaxDepth:
		return nil, &Error{Field: "directory", Value: d.String(), Reason: fmt.Sprintf("lies too deep: a tree may have %d levels", MaxDepth)}
	case w.pending+n > MaxPending:
		return nil, &Error{Field: "directory", Value: d.String(), Reason: fmt.Sprintf("is in too wide a tree: %d directories may be left to visit at a time", MaxPending)}
	}
	children := make([]digest.Digest, n)
	for i := range children {
		children[i] = w.dir.Directories[i].Digest
	}
	w.stack = append(w.stack, level{children: children})
	w.pending += n
	return msg, nil
}

func inDirectory(err error, d digest.Digest) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.In("directory " + d.String())
	}
	return err
}

// Visited returns the number of different directories the walk has met.
func (w *Walker) Visited() int { return len(w.seen) }

// Path returns the way from the root to where the walk stands, as the index of
// the child to visit next at each level. Resume goes on from it.
func (w *Walker) Path() []int {
	path := make([]int, len(w.stack))
	for i := range w.stack {
		path[i] = w.stack[i].next
	}
	return path
}

// ErrPath means that a path leads where the tree has no directory.
var ErrPath = errors.New("no such place in the tree")

// Resume makes a new Walker go on from a Path that another walk over the same
// tree gave. Of the directories before that place it reads only those on the
// way, so it may visit again what is repeated before and after it. Where a
// directory on the way is missing by now, the walk goes on after it. The error
// is ErrPath if the tree has no such place, or as that of Next.
func (w *Walker) Resume(path []int) error {
	if len(path) == 0 || len(path) > MaxDepth+1 {
		return ErrPath
	}
	for i, next := range path {
		level := &w.stack[i]
		if next < 0 || next > len(level.children) {
			return ErrPath
		}
		level.next = next
		if i == len(path)-1 {
			return nil
		}
		if next == 0 {
			return ErrPath
		}
		d := level.children[next-1]
		w.seen[d] = struct{}{}
		if _, err := w.enter(d); errors.Is(err, ErrMissing) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
