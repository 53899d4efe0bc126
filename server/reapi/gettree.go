package reapi

import (
	"context"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/merkle"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/reapi/codec"
)

const (
	// treePageBytes is the size in bytes from which on a page is sent.
	treePageBytes = 48 << 10
	// maxTreeDirectory is the size in bytes of the largest directory that GetTree
	// sends. With a page that is nearly full and a token it must still fit in a
	// reply of MaxReplyBytes.
	maxTreeDirectory = MaxReplyBytes - 128<<10
	// maxTreeDirectories is how many directories one call sends. It bounds the
	// memory that tells the ones already sent; the client gets a token for the
	// rest.
	maxTreeDirectories = 128 << 10
)

// treeWalk is a GetTree call at work.
type treeWalk struct {
	server *Server
	stream grpc.ServerStream
	req    codec.GetTree
	root   digest.Digest
	walker *merkle.Walker
	page   codec.GetTreePage
	most   int    // how many directories to send
	buf    []byte // of the directory read last
}

// getTree implements GetTree (rules 1, 8 and 21). It sends the directories
// depth first, parents before children, and those that the tree repeats once.
// A page is a message of the stream; the pages follow each other until the tree
// ends, or maxTreeDirectories were sent.
func (s *Server) getTree(req *codec.Request, stream grpc.ServerStream) error {
	return s.getTreeUpTo(maxTreeDirectories, req, stream)
}

func (s *Server) getTreeUpTo(most int, req *codec.Request, stream grpc.ServerStream) error {
	w := treeWalk{server: s, stream: stream, most: most}
	if err := w.begin(req); err != nil {
		return err
	}
	defer w.page.Free()
	return w.run()
}

func (w *treeWalk) begin(req *codec.Request) (err error) {
	if err := w.req.Decode(req); err != nil {
		return malformed(err)
	}
	if err := checkInstance(w.req.Instance); err != nil {
		return err
	}
	if w.req.PageSize < 0 {
		return invalid("page_size %d is negative", w.req.PageSize)
	}
	if w.root, err = requiredDigest("root_digest", w.req.Function, &w.req.Root, w.req.HasRoot); err != nil {
		return err
	}
	w.walker = merkle.NewWalker(w.root, w.read)
	if w.req.PageToken == "" {
		return nil
	}
	path, err := parseTreeToken(w.req.PageToken, w.root)
	if err != nil {
		return invalidField("page_token", err)
	}
	if err := w.walker.Resume(path); err != nil {
		return w.fail(err)
	}
	return nil
}

// run sends the pages. Whether one is the last, and so has no token, is known
// when the walk was asked for the directory after it.
func (w *treeWalk) run() error {
	msg, _, err := w.walker.Next()
	for sent := 1; err == nil; sent++ {
		w.page.Add(msg)
		if !w.full() {
			msg, _, err = w.walker.Next()
			continue
		}
		path := w.walker.Path()
		if msg, _, err = w.walker.Next(); err != nil {
			break
		}
		if err := w.send(treeToken(w.root, path)); err != nil || sent >= w.most {
			return err
		}
	}
	if !errors.Is(err, io.EOF) {
		return w.fail(err)
	}
	return w.send("")
}

// full reports whether the page is to be sent.
func (w *treeWalk) full() bool {
	return w.page.Len() >= treePageBytes || w.page.Count() >= w.most || w.req.PageSize > 0 && w.page.Count() >= int(w.req.PageSize)
}

// send sends the page.
func (w *treeWalk) send(nextToken string) error {
	return w.stream.SendMsg(w.page.Response(nextToken))
}

// read reads a directory, and tells the walker where one is missing. A missing
// root fails the call (rule 21).
func (w *treeWalk) read(d digest.Digest) ([]byte, error) {
	if d.Size() > maxTreeDirectory {
		return nil, status.Errorf(codes.FailedPrecondition, "directory %v has %d bytes, GetTree sends no more than %d in one: use ByteStream.Read", d, d.Size(), maxTreeDirectory)
	}
	ctx := w.stream.Context()
	var err error
	w.buf, err = w.server.appendBlob(ctx, w.buf[:0], w.req.Instance, d)
	missing := errors.Is(err, blobstore.ErrNotFound) || errors.Is(err, blobstore.ErrCorrupt)
	if missing && d != w.root {
		return nil, merkle.ErrMissing
	}
	return w.buf, err
}

// fail returns the status of an error of the walk.
func (w *treeWalk) fail(err error) error {
	if e := new(merkle.Error); errors.As(err, &e) {
		return invalidField("root_digest", err)
	}
	if errors.Is(err, merkle.ErrPath) {
		return invalidField("page_token", err)
	}
	return statusOf(w.root, err)
}

// appendBlob appends the content of a blob of the CAS.
func (s *Server) appendBlob(ctx context.Context, dst []byte, instance string, d digest.Digest) ([]byte, error) {
	content, err := encoding.Open(ctx, s.store, s.opts.Namespace.CAS(instance, d), encoding.Request{})
	if err != nil {
		return dst, err
	}
	defer content.Close()
	n, size := len(dst), int(content.Size())
	dst = slices.Grow(dst, size)[:n+size]
	return dst, readFull(content, dst[n:])
}
