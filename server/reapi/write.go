package reapi

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/resourcename"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi/codec"
)

const (
	// recheckBytes is after how many bytes an upload looks whether another has
	// finished the same blob meanwhile (rule 11).
	recheckBytes = 1 << 20
	// freeMessageBytes is the size in bytes of the largest stream message that
	// needs no room in the budget: as much as the transport may hold anyway.
	freeMessageBytes = 64 << 10
)

// errTakenOver ends the stream whose upload a later stream resumed.
var errTakenOver = status.Error(codes.Aborted, "another stream has resumed this upload")

// writeCall is one ByteStream.Write. Its memory is reused by later ones.
type writeCall struct {
	s      *Server
	stream grpc.ServerStream
	req    codec.Request
	msg    codec.Write
	blob   [1]blobstore.Blob
	key    [1]blobstore.Key

	name     resourcename.Write
	nameText string // as the first message has it
	spec     blobstore.Spec

	up *upload
	// first is the write_offset that the stream began with, received how many
	// bytes came since (rule 10: of compressed data, if it is).
	first, received int64
	// skip is how many of the next bytes the upload already has.
	skip int64
	// unchecked counts bytes since the store was asked for the blob.
	unchecked int64
	// taken is what the call holds of the requests budget.
	taken int64
}

// write implements ByteStream.Write (rules 4 to 11, 16, 17 and 27). When a
// message with finish_write came, nothing after it is read.
func (s *Server) write(_ any, stream grpc.ServerStream) error {
	c := s.writes.Get().(*writeCall)
	c.s, c.stream = s, stream
	committed, err := c.serve(stream.Context())
	s.recycle(c)
	if err != nil {
		s.countMismatch(err)
		return statusErr(err)
	}
	return stream.SendMsg(codec.WriteResponse(committed))
}

// recycle keeps the memory of a call that is over.
func (s *Server) recycle(c *writeCall) {
	pieces := c.msg.Data[:cap(c.msg.Data)]
	clear(pieces)
	*c = writeCall{msg: codec.Write{Data: pieces[:0]}}
	s.writes.Put(c)
}

// release gives back what the call holds, and parks or drops an upload that is
// not finished.
func (c *writeCall) release() {
	c.req.Free()
	c.s.requests.give(c.taken)
	c.taken = 0
	c.leave()
}

// serve is run, and releases what the call holds before it is answered.
func (c *writeCall) serve(ctx context.Context) (int64, error) {
	defer c.release()
	return c.run(ctx)
}

// run takes the messages and returns the committed size.
func (c *writeCall) run(ctx context.Context) (int64, error) {
	if err := c.receive(); err != nil {
		if err == io.EOF {
			return 0, invalid("upload has no message: the first must set resource_name")
		}
		return 0, err
	}
	if err := c.open(ctx); err != nil {
		return 0, err
	}
	if there, err := c.exists(ctx); err != nil {
		return 0, err
	} else if there {
		return c.alreadyThere()
	}
	if c.msg.Finish && c.msg.Offset == 0 {
		return c.putWhole(ctx)
	}
	if err := c.begin(ctx); err != nil {
		return 0, err
	}
	return c.copyAll(ctx)
}

// receive takes the next message, when there is room for one as large as the
// largest so far.
func (c *writeCall) receive() error {
	size := int64(c.req.Len())
	c.req.Free()
	if size > freeMessageBytes && size > c.taken {
		c.s.requests.give(c.taken)
		c.taken = 0
		taken, err := c.s.requests.take(c.stream.Context(), size)
		if err != nil {
			return err
		}
		c.taken = taken
	}
	if err := c.stream.RecvMsg(&c.req); err != nil {
		return err
	}
	if err := c.msg.Decode(&c.req); err != nil {
		return malformed(err)
	}
	return nil
}

// open checks the first message.
func (c *writeCall) open(ctx context.Context) (err error) {
	if err := c.s.checkWritable(); err != nil {
		return err
	}
	if c.name, err = resourcename.ParseWrite(c.msg.Name); err != nil {
		return invalidField("resource_name", err)
	}
	if err := checkNameHeader(ctx, c.msg.Name); err != nil {
		return err
	}
	if c.msg.Offset < 0 {
		return invalid("write_offset %d is negative", c.msg.Offset)
	}
	d := c.name.Digest
	c.spec = blobstore.Spec{
		Key:      c.s.opts.Namespace.CAS(c.name.Instance, d),
		Size:     d.Size(),
		Encoding: blobstore.Encoding(c.name.Encoding),
	}
	return c.s.checkSize(d)
}

// exists asks the store for the blob.
func (c *writeCall) exists(ctx context.Context) (bool, error) {
	c.key[0] = c.spec.Key
	return c.s.exists(ctx, c.key[:])
}

// alreadyThere answers an upload of a blob that the store has with the
// committed size of all of it, or -1 if it is compressed (rule 11).
func (c *writeCall) alreadyThere() (int64, error) {
	c.s.metrics.earlyReturns.Inc()
	if c.s.opts.DrainUploads {
		if err := c.drain(); err != nil {
			return 0, err
		}
	}
	if c.compressed() {
		return -1, nil
	}
	return c.spec.Size, nil
}

// drain reads the rest of the stream, unseen.
func (c *writeCall) drain() error {
	for {
		if err := c.receive(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c *writeCall) compressed() bool { return c.spec.Encoding != blobstore.Identity }

// putWhole stores a blob that came in one message, as one write.
func (c *writeCall) putWhole(ctx context.Context) (int64, error) {
	data, free := joined(c.msg.Data, c.msg.Size)
	defer free()
	c.blob[0] = blobstore.Blob{Spec: c.spec, Data: data}
	if err := c.s.store.Put(ctx, c.blob[:])[0]; err != nil {
		return 0, err
	}
	return int64(c.msg.Size), nil
}

// joined returns pieces of n bytes as one, and what to call when it is not
// needed any more.
func joined(pieces [][]byte, n int) (data []byte, free func()) {
	switch len(pieces) {
	case 0:
		return nil, func() {}
	case 1:
		return pieces[0], func() {}
	}
	buf := codec.Pool.Get(n)
	at := 0
	for _, p := range pieces {
		at += copy((*buf)[at:], p)
	}
	return *buf, func() { codec.Pool.Put(buf) }
}

// begin opens a new upload, or the one that the first message resumes.
func (c *writeCall) begin(ctx context.Context) error {
	c.nameText = string(c.msg.Name)
	c.first = c.msg.Offset
	switch {
	case c.first == 0:
		return c.create(ctx)
	case c.compressed():
		return invalid("write_offset %d does not match the committed size 0: a compressed upload cannot be resumed, and starts over", c.first)
	}
	return c.resume()
}

// create begins a new upload. One that can be resumed has a context that
// outlives the stream.
func (c *writeCall) create(ctx context.Context) error {
	if !c.compressed() {
		ctx = c.s.base
	}
	ctx, cancel := context.WithCancel(ctx)
	w, err := c.s.store.Create(ctx, c.spec)
	if err != nil {
		cancel()
		return err
	}
	c.up = &upload{key: c.uploadKey(), size: c.spec.Size, cancel: cancel, w: w}
	if c.compressed() {
		c.up.owner.Store(c)
		return nil
	}
	c.s.uploads.begin(c.up, c)
	return nil
}

func (c *writeCall) uploadKey() uploadKey {
	return uploadKey{id: c.name.UploadID, instance: c.name.Instance, blob: c.spec.Key}
}

// resume goes on with an upload. The client may begin before its committed
// size, since an earlier stream may have brought more after the client asked;
// the bytes in between are skipped.
func (c *writeCall) resume() error {
	c.up = c.s.uploads.claim(c.uploadKey(), c)
	if c.up == nil {
		return invalid("write_offset %d does not match the committed size 0: there is no such upload, or it was given up", c.first)
	}
	committed := c.up.offset()
	if c.first > committed {
		return invalid("write_offset %d does not match the committed size %d", c.first, committed)
	}
	c.skip = committed - c.first
	c.s.metrics.resumed.Inc()
	return nil
}

// copyAll writes this message and those that follow, and commits.
func (c *writeCall) copyAll(ctx context.Context) (int64, error) {
	for {
		if err := c.checkMessage(); err != nil {
			return 0, err
		}
		if err := c.appendData(); err != nil {
			return 0, err
		}
		if c.msg.Finish {
			return c.commit()
		}
		if there, err := c.recheck(ctx); err != nil {
			return 0, err
		} else if there {
			c.discard()
			return c.alreadyThere()
		}
		if err := c.receive(); err == io.EOF {
			return c.unfinished()
		} else if err != nil {
			return 0, err
		}
	}
}

// checkMessage checks what a message repeats.
func (c *writeCall) checkMessage() error {
	if len(c.msg.Name) > 0 && string(c.msg.Name) != c.nameText {
		return invalid("resource_name changed within an upload, from %.400q to %.400q", c.nameText, c.msg.Name)
	}
	if want := c.first + c.received; c.msg.Offset != want {
		return invalid("write_offset %d does not match the %d bytes of the upload so far", c.msg.Offset, want)
	}
	return nil
}

// appendData writes the message's data.
func (c *writeCall) appendData() error {
	c.received += int64(c.msg.Size)
	c.unchecked += int64(c.msg.Size)
	for _, p := range c.msg.Data {
		k := min(c.skip, int64(len(p)))
		c.skip -= k
		if k == int64(len(p)) {
			continue
		}
		if err := c.up.write(c, p[k:]); err != nil {
			c.discardUnless(err)
			return err
		}
	}
	return nil
}

// recheck looks now and then whether another upload finished the blob.
func (c *writeCall) recheck(ctx context.Context) (bool, error) {
	if c.unchecked < recheckBytes {
		return false, nil
	}
	c.unchecked = 0
	return c.exists(ctx)
}

// commit finishes the upload.
func (c *writeCall) commit() (int64, error) {
	u := c.up
	c.up = nil
	if !c.s.uploads.end(u, c) {
		return 0, errTakenOver
	}
	if err := u.commit(); err != nil {
		u.abort()
		return 0, err
	}
	return c.first + c.received, nil
}

// unfinished ends a stream that ended without finish_write. The upload waits
// for the rest.
func (c *writeCall) unfinished() (int64, error) {
	if c.compressed() {
		return 0, invalid("upload of %v ended without finish_write, and a compressed upload cannot be resumed", c.spec.Key.Digest)
	}
	return c.up.offset(), nil
}

// discardUnless discards the upload after a failed write, since its writer
// cannot go on, unless it is another's now.
func (c *writeCall) discardUnless(err error) {
	if !errors.Is(err, errTakenOver) {
		c.discard()
	}
}

// discard gives the upload up.
func (c *writeCall) discard() {
	if u := c.up; u != nil && c.s.uploads.end(u, c) {
		u.abort()
	}
	c.up = nil
}

// leave parks the upload that the call did not finish, or aborts it if it
// cannot be resumed.
func (c *writeCall) leave() {
	if c.up == nil {
		return
	}
	if c.compressed() {
		c.discard()
		return
	}
	c.s.uploads.park(c.up, c)
	c.up = nil
}
