package main

import "context"

type makeOperations = func(c *contents, space uint64) operations

// streamWrite uploads new blobs of one size.
type streamWrite struct {
	contents *contents
	space    uint64
	size     int
	first    int
	names    []string
}

func newStreamWrite(size int) makeOperations {
	return func(c *contents, space uint64) operations {
		return &streamWrite{contents: c, space: space, size: size}
	}
}

func (w *streamWrite) setup(context.Context, *caller) error { return nil }

func (w *streamWrite) id(i int) blobID { return blobID{w.size, w.space + uint64(i)} }

func (w *streamWrite) prepare(first, n int) {
	w.first, w.names = first, make([]string, n)
	for k := range n {
		id := w.id(first + k)
		w.names[k] = writeName(id.serial, readName(w.contents.digest(id)))
	}
}

func (w *streamWrite) do(ctx context.Context, c *caller, i int) (int64, error) {
	err := c.write(ctx, w.names[i-w.first], c.content.blob(w.id(i)))
	return int64(w.size), err
}

// streamRead downloads blobs of one size from a set.
type streamRead struct {
	set []stored
}

func newStreamRead(size, count int) makeOperations {
	return func(c *contents, space uint64) operations {
		return &streamRead{newSet(c, size, count, space+setupSpace)}
	}
}

func (r *streamRead) setup(ctx context.Context, c *caller) error { return c.upload(ctx, r.set) }
func (r *streamRead) prepare(int, int)                           {}

func (r *streamRead) do(ctx context.Context, c *caller, i int) (int64, error) {
	s := r.set[scatter(uint64(i), len(r.set))]
	return c.readBlob(ctx, s.name, s.id)
}

// httpGet downloads blobs of one size from a set over HTTP.
type httpGet struct {
	set []stored
}

func newHTTPGet(size, count int) makeOperations {
	return func(c *contents, space uint64) operations {
		return &httpGet{newSet(c, size, count, space+setupSpace)}
	}
}

func (h *httpGet) setup(ctx context.Context, c *caller) error { return c.upload(ctx, h.set) }
func (h *httpGet) prepare(int, int)                           {}

func (h *httpGet) do(ctx context.Context, c *caller, i int) (int64, error) {
	s := h.set[scatter(uint64(i), len(h.set))]
	n, err := c.fetch(ctx, c.target.httpURL+"/cas/"+s.digest.Hash, c.sink(s.id))
	return n, checkLength(n, s.id, err)
}
