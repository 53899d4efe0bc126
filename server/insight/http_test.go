package insight

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// web starts an HTTP server that i watches, connections included. It returns
// its URL and what stops it, after which no handler runs.
func web(t *testing.T, i *Insight, h http.HandlerFunc) (url string, stop func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: i.HTTP(h), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(i.Listener(l, HTTP()))
	}()
	stop = func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	}
	t.Cleanup(stop)
	return "http://" + l.Addr().String(), stop
}

func do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	log, records := accessLog()
	i := New(Options{AccessLog: log, Buckets: []float64{1}})
	url, stop := web(t, i, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.ReadFull(r.Body, make([]byte, 3)) // the rest never arrives, as far as the handler can tell
			w.WriteHeader(http.StatusInsufficientStorage)
			w.WriteHeader(http.StatusOK) // without effect, here too
			return
		}
		_, _ = io.WriteString(w, "hello")
	})
	do(t, http.MethodGet, url+"/team/x/cas/"+helloHash, "")
	do(t, http.MethodPut, url+"/ac/"+helloHash, "four")
	do(t, http.MethodGet, url+"/status", "")
	do(t, http.MethodDelete, url+"/a/b", "")
	stop()
	got := records(t)
	if len(got) != 4 {
		t.Fatalf("%d records", len(got))
	}
	check(t, got[0], map[string]any{"msg": "access", "listener": "http", "method": "GET /cas", "instance": "team/x", "digest": helloHash, "code": "200", "sent": 5.0, "received": 0.0})
	check(t, got[1], map[string]any{"method": "PUT /ac", "instance": nil, "digest": helloHash, "code": "507", "sent": 0.0, "received": 3.0})
	check(t, got[2], map[string]any{"method": "GET /status", "digest": nil})
	check(t, got[3], map[string]any{"method": "other elsewhere"})
	if n := testutil.ToFloat64(i.requests.WithLabelValues("http", "PUT /ac", "507")); n != 1 {
		t.Errorf("%v counted, want 1", n)
	}
	if n := i.InFlight(); n != 0 {
		t.Errorf("%d requests in flight", n)
	}
}

// TestPanicIsCounted: net/http turns a handler's panic into a cut connection.
func TestPanicIsCounted(t *testing.T) {
	t.Parallel()
	i := New(Options{})
	h := i.HTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	func() {
		defer func() { _ = recover() }()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/cas/x", http.NoBody)
		h.ServeHTTP(nil, req)
	}()
	if n := testutil.ToFloat64(i.requests.WithLabelValues("http", "GET /cas", "500")); n != 1 || i.InFlight() != 0 {
		t.Errorf("%v counted, %d in flight", n, i.InFlight())
	}
}

// TestFileIsSentAndCounted tells that a file's bytes are counted, and that
// net/http still finds the connection's ReadFrom, which is what sends it
// without copying it through the process.
func TestFileIsSentAndCounted(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	log, records := accessLog()
	i := New(Options{AccessLog: log})
	readFrom := false
	url, stop := web(t, i, func(w http.ResponseWriter, r *http.Request) {
		_, readFrom = w.(io.ReaderFrom)
		http.ServeFile(w, r, path)
	})
	_, body := do(t, http.MethodGet, url+"/cas/x", "")
	if len(body) != size || !readFrom {
		t.Errorf("%d bytes, ReadFrom %v", len(body), readFrom)
	}
	stop()
	check(t, records(t)[0], map[string]any{"sent": float64(size)})
	if n := testutil.ToFloat64(i.traffic.sent.WithLabelValues("http")); n < size {
		t.Errorf("%v bytes counted on the connection", n)
	}
	if n := testutil.ToFloat64(i.traffic.accepted.WithLabelValues("http")); n != 1 {
		t.Errorf("%v connections counted, want 1", n)
	}
}

var _ io.ReaderFrom = (*watchedTCP)(nil)

func TestForeignConnections(t *testing.T) {
	t.Parallel()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for _, tc := range []struct {
		name  string
		p     Protocol
		first string
		fits  bool
	}{
		{"gRPC", GRPC(), preface + "more", true},
		{"half a preface", GRPC(), preface[:5], true},
		{"HTTP on the gRPC port", GRPC(), "GET / HTTP/1.1\r\n", false},
		{"POST on the gRPC port", GRPC(), "POST / HTTP/1.1\r\n", false},
		{"TLS on the plain port", GRPC(), "\x16\x03\x01", false},
		{"garbage", GRPC(), "\x00\x01", false},
		{"HTTP", HTTP(), "GET / HTTP/1.1\r\n", true},
		{"PUT", HTTP(), "PUT / HTTP/1.1\r\n", true},
		{"gRPC on the HTTP port", HTTP(), preface, false},
		{"garbage on the HTTP port", HTTP(), "\xff\xff", false},
		{"TLS", GRPC().TLS(), "\x16\x03\x01", true},
		{"plain gRPC on the TLS port", GRPC().TLS(), preface, false},
		{"plain HTTP on the TLS port", HTTP().TLS(), "GET / HTTP/1.1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			log, records := accessLog()
			i := New(Options{Logger: log})
			inner := &oneListener{conns: make(chan net.Conn, 1)}
			client, server := net.Pipe()
			inner.conns <- server
			conn, err := i.Listener(inner, tc.p).Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.WriteString(client, tc.first); client.Close() }()
			if data, err := io.ReadAll(conn); err != nil || string(data) != tc.first {
				t.Errorf("read %q, %v", data, err)
			}
			conn.Close()
			conn.Close()
			want := 1.0
			if tc.fits {
				want = 0
			}
			if n := testutil.ToFloat64(i.traffic.foreign.WithLabelValues(tc.p.name)); n != want {
				t.Errorf("%v foreign connections counted, want %v", n, want)
			}
			if n := len(records(t)); n != int(want) {
				t.Errorf("%d warnings, want %v", n, want)
			}
			if n := testutil.ToFloat64(i.traffic.received.WithLabelValues(tc.p.name)); n != float64(len(tc.first)) {
				t.Errorf("%v bytes counted", n)
			}
			if n := testutil.ToFloat64(i.traffic.open.WithLabelValues(tc.p.name)); n != 0 {
				t.Errorf("%v connections open", n)
			}
		})
	}
}

// oneListener gives out the connections that it was given.
type oneListener struct {
	net.Listener
	conns chan net.Conn
}

func (l *oneListener) Accept() (net.Conn, error) { return <-l.conns, nil }

func TestWaitIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := New(Options{})
		start := time.Now()
		m := i.method(&i.grpc, methodKey{name: "/a.B/C"}, false)
		probe := i.method(&i.grpc, methodKey{name: "/grpc.health.v1.Health/Watch"}, true)
		go func() {
			probe.begin() // and never ends
			<-time.After(5 * time.Second)
			at := m.begin()
			<-time.After(30 * time.Second) // longer than the timeout
			i.end(m, at, 0)
		}()
		if err := i.WaitIdle(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 45*time.Second {
			t.Errorf("idle after %v, want 45s: 10s after the last request ended", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := i.WaitIdle(ctx, 10*time.Second); err == nil {
			t.Error("idle before its time")
		}
	})
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]class{
		"/cas/ab":               {name: "/cas", digest: "ab"},
		"/ac/ab":                {name: "/ac", digest: "ab"},
		"/team/x/ac/ab":         {name: "/ac", instance: "team/x", digest: "ab"},
		"/cas/blake3/ab":        {name: "/cas", digest: "ab"},
		"/team/cas/sha256/ab":   {name: "/cas", instance: "team", digest: "ab"},
		"/team/cas/whatever/ab": {name: "elsewhere"},
		"/":                     {name: "/", probe: true},
		"/healthz":              {name: "/healthz", probe: true},
	} {
		if got := classify(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}
