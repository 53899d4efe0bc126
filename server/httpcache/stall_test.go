package httpcache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
)

// short is a stall timeout that a test can wait for.
const short = 30 * time.Millisecond

func (e *env) dial() net.Conn {
	e.t.Helper()
	var d net.Dialer
	c, err := d.DialContext(e.t.Context(), "tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

func (e *env) readAnswer(c net.Conn) answer {
	e.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{code: resp.StatusCode}
	a.body, a.err = io.ReadAll(resp.Body) // the connection may break at its end
	return a
}

// A client may send no Content-Length at all for an empty body.
func TestPutWithoutLength(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	for _, path := range []string{casPath(digest.Empty(digest.SHA256)), actionPath(digest.Of(digest.SHA256, []byte("x")))} {
		c := e.dial()
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: larder\r\n\r\n", path)
		e.want(e.readAnswer(c), http.StatusOK)
	}
}

func TestStalledUpload(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{10, bufferSize + 10} {
		e := start(t, Options{StallTimeout: short})
		content := noise(sizes["large"])
		d := digest.Of(digest.SHA256, content)
		c := e.dial()
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: larder\r\nContent-Length: %d\r\n\r\n%s", casPath(d), len(content), content[:sent])
		e.want(e.readAnswer(c), http.StatusRequestTimeout, "too slowly")
		e.want(e.get(casPath(d)), http.StatusNotFound)
	}
}

func TestAbandonedUpload(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	content := noise(sizes["large"])
	d := digest.Of(digest.SHA256, content)
	c := e.dial()
	fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: larder\r\nContent-Length: %d\r\n\r\n%s", casPath(d), len(content), content[:bufferSize+10])
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	e.want(e.readAnswer(c), http.StatusBadRequest, "ended early")
	e.want(e.get(casPath(d)), http.StatusNotFound)
	e.want(e.put(casPath(d), content), http.StatusOK)
}

// A client that takes nothing of its response must not hold a blob's reader
// for ever.
func TestStalledDownload(t *testing.T) {
	t.Parallel()
	e := start(t, Options{StallTimeout: short})
	e.store.closed = make(chan struct{}, 1)
	content := noise(32 << 20) // more than the buffers of a connection
	d := e.keep(content, blobstore.Identity)
	c := e.dial()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: larder\r\n\r\n", casPath(d))
	select {
	case <-e.store.closed:
	case <-time.After(30 * time.Second):
		t.Fatal("the server still waits for a client that does not read")
	}
}

// deadlines is a ResponseWriter that remembers its deadlines.
type deadlines struct {
	http.ResponseWriter

	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = append(d.read, t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = append(d.write, t); return nil }

// Every read and write moves the deadline, so that a transfer may take as long
// as it goes on; at the end there is none.
func TestDeadlinesMove(t *testing.T) {
	t.Parallel()
	var d deadlines
	p := pace{conn: http.NewResponseController(&d), stall: time.Hour}
	b := &body{src: strings.NewReader("abcdef"), pace: p, limit: 6}
	for range 3 {
		if _, err := b.Read(make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Read(make([]byte, 2)); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	checkDeadlines(t, d.read, 4)

	s := &paced{io.Discard, p}
	for range 3 {
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	s.pace.doneWriting()
	checkDeadlines(t, d.write, 3)
}

// checkDeadlines wants n deadlines in order, and then their removal.
func checkDeadlines(t *testing.T, got []time.Time, n int) {
	t.Helper()
	if len(got) != n+1 || !got[n].IsZero() {
		t.Fatalf("deadlines %v, want %d and their removal", got, n)
	}
	for i := range n {
		if got[i].Before(time.Now()) || i > 0 && got[i].Before(got[i-1]) {
			t.Errorf("deadlines %v do not move", got)
		}
	}
}

// The limits of the http.Server are not lifted by a transfer that goes on.
func TestServerLimitsStay(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	srv := &http.Server{ReadTimeout: time.Second, WriteTimeout: time.Minute}
	ctx := context.WithValue(t.Context(), http.ServerContextKey, srv)
	before := time.Now()
	p := h.newPace(nil, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody))
	var d deadlines
	p.conn, p.stall = http.NewResponseController(&d), time.Hour
	p.reading()
	p.writing()
	p.doneWriting()
	for _, tt := range []struct {
		got   time.Time
		limit time.Duration
	}{{d.read[0], time.Second}, {d.write[0], time.Minute}, {d.write[1], time.Minute}} {
		if tt.got.Before(before.Add(tt.limit)) || tt.got.After(time.Now().Add(tt.limit)) {
			t.Errorf("deadline %v, want %v from %v", tt.got, tt.limit, before)
		}
	}
}

// A deadline that stays would hit the connection's next response.
func TestResponseLeavesNoDeadline(t *testing.T) {
	t.Parallel()
	e := start(t, Options{})
	path := casPath(e.keep(text(smallBufferSize), blobstore.Identity))
	d := &deadlines{ResponseWriter: httptest.NewRecorder()}
	e.h.ServeHTTP(d, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	checkDeadlines(t, d.write, 1)
}
