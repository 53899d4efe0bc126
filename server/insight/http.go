package insight

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-build/larder/internal/digest"
)

// HTTP makes a handler tell of its requests.
func (i *Insight) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		class := classify(req.URL.Path)
		m := i.method(&i.http, methodKey{verb(req.Method), class.name}, class.probe)
		start := m.begin()
		watched := &watchedResponse{ResponseWriter: w}
		body := &watchedBody{ReadCloser: req.Body}
		if i.log != nil && req.Body != http.NoBody {
			req.Body = body
		}
		completed := false
		defer func() {
			code := watched.status()
			if !completed {
				code = http.StatusInternalServerError // the handler panicked: the answer is cut
			}
			took := i.end(m, start, code)
			if i.log == nil {
				return
			}
			rec := record{peer: req.RemoteAddr, instance: class.instance, digest: class.digest, sent: watched.sent, received: body.received}
			rec.write(req.Context(), i.log, m, strconv.Itoa(code), took, nil)
		}()
		next.ServeHTTP(watched, req)
		completed = true
	})
}

// class is what kind of thing a path names. The names are few.
type class struct {
	name             string
	probe            bool
	instance, digest string
}

// classify splits [/instance]/{cas,ac}[/function]/hash and knows the other
// pages.
func classify(path string) class {
	switch path {
	case "/", "/status", "/metrics", "/healthz", "/readyz":
		return class{name: path, probe: true}
	}
	dir, hash, _ := cutLast(path)
	instance, kind, ok := cutLast(dir)
	if _, named := digest.FunctionOfName(kind); named {
		instance, kind, ok = cutLast(instance)
	}
	if !ok || kind != "cas" && kind != "ac" {
		return class{name: "elsewhere"}
	}
	return class{name: "/" + kind, instance: limited(strings.TrimPrefix(instance, "/")), digest: limited(hash)}
}

// cutLast cuts at the last slash.
func cutLast(s string) (before, after string, ok bool) {
	n := strings.LastIndexByte(s, '/')
	if n < 0 {
		return "", s, false
	}
	return s[:n], s[n+1:], true
}

// verb bounds the methods that are told apart.
func verb(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut:
		return method
	}
	return "other"
}

// watchedBody counts what was read of a request's body.
type watchedBody struct {
	io.ReadCloser
	received int64
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.received += int64(n)
	return n, err
}

// watchedResponse notes the status and counts the bytes of the body.
type watchedResponse struct {
	http.ResponseWriter
	code int
	sent int64
}

func (w *watchedResponse) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// WriteHeader notes the final status: those below 200 only announce it.
func (w *watchedResponse) WriteHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *watchedResponse) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.sent += int64(n)
	return n, err
}

// ReadFrom lets the connection copy from a file by itself (sendfile), where it
// can.
func (w *watchedResponse) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.sent += n
	return n, err
}

// Unwrap gives http.ResponseController what is below.
func (w *watchedResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
