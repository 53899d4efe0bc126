package actioncache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

const (
	// maxKeys is the number of blobs that are looked for at once. Nearly every
	// action result has fewer, so that one FindMissing decides.
	maxKeys = 16 << 10
	// largeTree is the size in bytes from which on a Tree must wait for its
	// share of the memory for large directories.
	largeTree = 1 << 20
)

// errIncomplete means that a blob that an action result refers to is missing.
// It is also a blobstore.ErrNotFound.
var errIncomplete = fmt.Errorf("%w: the action result is incomplete", blobstore.ErrNotFound)

// references walks what an action result refers to: output files, Trees and
// the files in them, stdout and stderr, and the hierarchies below
// root_directory_digest (rule 22).
type references struct {
	work *work
	// complete is set when everything must be there, and cleared when what is
	// missing is passed over.
	complete bool
	// left is how many bytes of Trees and Directories may still be read.
	left int64
	// keys are the blobs to look for; seen has those from trees, which repeat
	// files.
	keys []blobstore.Key
	seen map[digest.Digest]struct{}

	tree merkle.TreeReader
	dir  merkle.Directory
	buf  []byte
}

func (r *references) begin(w *work, complete bool) {
	r.work, r.complete = w, complete
	r.left = w.cache.opts.MaxTreeBytes
	r.keys = r.keys[:0]
}

// end drops what is too large to keep for the next request.
func (r *references) end() {
	clear(r.seen)
	if len(r.dir.Files) > maxKept || cap(r.buf) > largeTree {
		r.dir, r.buf = merkle.Directory{}, nil
	}
	if cap(r.keys) > maxKept {
		r.keys, r.seen = nil, nil
	}
}

// checkAll fails with errIncomplete if a blob is missing, and with an
// *InvalidError if a tree is none.
func (r *references) checkAll(ctx context.Context) error {
	result := &r.work.result
	for i := range result.Files {
		if len(result.Files[i].Contents) == 0 {
			r.add(result.Files[i].Digest)
		}
	}
	r.add(result.Stdout.Digest)
	r.add(result.Stderr.Digest)
	if err := r.trees(ctx); err != nil {
		return err
	}
	return r.flush(ctx)
}

// add puts a blob among those to look for. The empty blob is always there
// (rule 1).
func (r *references) add(d digest.Digest) {
	if d.Valid() && !d.IsEmptyBlob() {
		r.keys = append(r.keys, r.work.casKey(d))
	}
}

// flush looks for the blobs, which extends their lifetimes.
func (r *references) flush(ctx context.Context) error {
	if len(r.keys) == 0 {
		return nil
	}
	missing, err := r.work.cache.store.FindMissing(ctx, r.keys)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %d of the blobs it refers to are missing, such as %v", errIncomplete, len(missing), r.keys[missing[0]].Digest)
	}
	r.keys = r.keys[:0]
	clear(r.seen)
	return nil
}

// trees walks all output directories.
func (r *references) trees(ctx context.Context) error {
	dirs := r.work.result.Directories
	for i := range dirs {
		if dirs[i].Tree.Valid() {
			if err := r.walkTree(ctx, &dirs[i]); err != nil && !errors.Is(err, merkle.ErrMissing) {
				return asInvalid(within(err, fmt.Sprintf("output_directories[%d].tree_digest", i)))
			}
		}
		if dirs[i].Root.Valid() {
			if err := r.walkDirectories(ctx, dirs[i].Root); err != nil {
				return asInvalid(within(err, fmt.Sprintf("output_directories[%d].root_directory_digest", i)))
			}
		}
	}
	return nil
}

func (r *references) walkTree(ctx context.Context, o *merkle.OutputDirectory) error {
	if err := r.spend(o.Tree); err != nil {
		return err
	}
	if size := o.Tree.Size(); size > largeTree {
		if err := r.work.cache.large.Acquire(ctx, size); err != nil {
			return err
		}
		defer r.work.cache.large.Release(size)
	}
	content, err := encoding.Open(ctx, r.work.cache.store, r.work.casKey(o.Tree), encoding.Request{})
	if err != nil {
		return r.gone(err)
	}
	defer content.Close()
	r.tree.Reset(content, content.Size(), o.Sorted)
	defer r.tree.Reset(nil, 0, false)
	for {
		msg, err := r.tree.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return r.gone(err)
		}
		if err := r.dir.Parse(r.work.fn, msg); err != nil {
			return within(err, r.tree.Field())
		}
		if err := r.directory(ctx, &r.dir); err != nil {
			return within(err, r.tree.Field())
		}
	}
}

// walkDirectories walks the hierarchy of separately stored directories.
func (r *references) walkDirectories(ctx context.Context, root digest.Digest) error {
	var at digest.Digest
	w := merkle.NewWalker(root, func(d digest.Digest) (msg []byte, err error) {
		at = d
		if err := r.spend(d); err != nil {
			return nil, err
		}
		r.buf, err = r.work.appendBlob(ctx, r.buf[:0], d)
		if err != nil {
			return nil, r.gone(err)
		}
		return r.buf, nil
	})
	for {
		_, dir, err := w.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.directory(ctx, dir); err != nil {
			return within(err, "directory "+at.String())
		}
	}
}

// directoryCost is what a Directory counts for besides its bytes, so that a
// hierarchy of very many small ones is limited too.
const directoryCost = 64

// spend takes the bytes of a Tree or Directory off those that the action
// result may refer to.
func (r *references) spend(d digest.Digest) error {
	if r.left -= d.Size() + directoryCost; r.left < 0 || d.Size() > r.work.cache.opts.MaxTreeBytes {
		return &merkle.Error{Field: "output_directories", Value: d.String(), Reason: fmt.Sprintf(
			"the trees of an action result may have %d bytes in all", r.work.cache.opts.MaxTreeBytes)}
	}
	return nil
}

// directory checks one directory and adds its files.
func (r *references) directory(ctx context.Context, dir *merkle.Directory) error {
	if err := dir.Validate(); err != nil {
		return err
	}
	if !r.complete {
		return nil
	}
	if r.seen == nil {
		r.seen = make(map[digest.Digest]struct{})
	}
	for i := range dir.Files {
		d := dir.Files[i].Digest
		if _, ok := r.seen[d]; ok {
			continue
		}
		r.seen[d] = struct{}{}
		if r.add(d); len(r.keys) >= maxKeys {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone decides what an error in reading a Tree or Directory means. Missing (or
// corrupt, hence dropped by the store) it makes the result incomplete; when
// that does not matter, what is below it is left out.
func (r *references) gone(err error) error {
	if !errors.Is(err, blobstore.ErrNotFound) && !errors.Is(err, blobstore.ErrCorrupt) {
		return err
	}
	if r.complete {
		return incomplete(err)
	}
	return merkle.ErrMissing
}

// incomplete returns an errIncomplete that tells of err, but is it no more: a
// corrupt blob, which the store has dropped, makes a miss, not DATA_LOSS.
func incomplete(err error) error { return fmt.Errorf("%w: %s", errIncomplete, err.Error()) }

// within returns a walker's error as seen from what holds the walked message,
// and others as they are.
func within(err error, field string) error {
	if e, ok := errors.AsType[*merkle.Error](err); ok {
		return e.In(field)
	}
	return err
}

// appendBlob appends a blob's content.
func (w *work) appendBlob(ctx context.Context, dst []byte, d digest.Digest) ([]byte, error) {
	content, err := encoding.Open(ctx, w.cache.store, w.casKey(d), encoding.Request{})
	if err != nil {
		return dst, err
	}
	defer content.Close()
	n, size := len(dst), int(content.Size())
	dst = slices.Grow(dst, size)[:n+size]
	_, err = io.ReadFull(content, dst[n:])
	return dst, err
}
