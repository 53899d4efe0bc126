package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/internal/digest"
	adminpb "github.com/larder-build/larder/protos/larder/admin/v1"
)

// running is a server in this process.
type running struct {
	*server
	signals chan os.Signal
	done    chan error // what run returned
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start starts a server on ports of the system's choice and a store of its
// own, unless the arguments say otherwise. The test's end stops it.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	defaults := []string{"--dir=" + filepath.Join(t.TempDir(), "store"), "--max_size=1", "--grpc_address=127.0.0.1:0", "--http_address=127.0.0.1:0"}
	return startWith(t, system{}, append(defaults, args...)...)
}

func startWith(t *testing.T, sys system, args ...string) *running {
	t.Helper()
	r := &running{signals: make(chan os.Signal, 2), done: make(chan error, 1), log: new(lockedBuffer)}
	sys.stdout, sys.stderr = io.Discard, r.log
	cfg, err := parse(args, sys)
	if err != nil {
		t.Fatal(err)
	}
	if r.server, err = newServer(t.Context(), cfg, sys, newLogger(cfg, sys.stderr, cfg.logLevel())); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- r.run(r.signals)
	}()
	t.Cleanup(func() {
		r.signals <- syscall.SIGTERM
		<-ended
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// wait returns what run returned.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("the server runs still; its log:\n%s", r.log)
		return nil
	}
}

func (r *running) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	addr := r.listeners.grpc.Addr()
	target := "passthrough:" + addr.String()
	if addr.Network() == "unix" {
		target = "unix:" + addr.String()
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func get(t *testing.T, r *running, path string) (int, string) {
	t.Helper()
	return request(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodGet, r.httpURL(path), nil)
}

func (r *running) httpURL(path string) string {
	return "http://" + r.listeners.http.Addr().String() + path
}

func request(t *testing.T, client *http.Client, method, url string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
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

// upload is a blob on its way.
type upload struct {
	t      *testing.T
	stream bspb.ByteStream_WriteClient
	digest digest.Digest
	data   []byte
}

// beginUpload sends half of a blob, and returns when the server has it.
func beginUpload(t *testing.T, r *running, conn *grpc.ClientConn) *upload {
	t.Helper()
	u := &upload{t: t, data: bytes.Repeat([]byte("0123456789abcdef"), 8<<10)}
	u.digest = digest.Of(digest.SHA256, u.data)
	var err error
	if u.stream, err = bspb.NewByteStreamClient(conn).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	u.send(0, len(u.data)/2)
	for r.watch.InFlight() == 0 {
		poll(t)
	}
	return u
}

func poll(t *testing.T) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal("gave up")
	case <-time.After(time.Millisecond):
	}
}

func (u *upload) send(from, to int) {
	u.t.Helper()
	err := u.stream.Send(&bspb.WriteRequest{
		ResourceName: "uploads/1d1b4e3a-0000-4000-8000-000000000000/blobs/" + u.digest.String(),
		WriteOffset:  int64(from), Data: u.data[from:to], FinishWrite: to == len(u.data),
	})
	if err != nil {
		u.t.Fatal(err)
	}
}

// awaitStopping waits until the server has begun to stop.
func (r *running) awaitStopping(t *testing.T) {
	t.Helper()
	select {
	case <-r.stopping:
	case <-time.After(time.Minute):
		t.Fatal("the server does not stop")
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	r := start(t, "--profile_address=127.0.0.1:0")
	conn := r.dial(t)
	caps, err := repb.NewCapabilitiesClient(conn).GetCapabilities(t.Context(), &repb.GetCapabilitiesRequest{})
	if err != nil || !caps.GetCacheCapabilities().GetActionCacheUpdateCapabilities().GetUpdateEnabled() {
		t.Errorf("capabilities: %v, %v", caps, err)
	}
	check, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || check.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", check, err)
	}
	store, err := adminpb.NewAdminClient(conn).GetStoreStatus(t.Context(), &adminpb.GetStoreStatusRequest{})
	if err != nil || store.GetDirectory() != r.cfg.Dir || store.GetStats().GetMaxBytes() != gib {
		t.Errorf("store status: %v, %v", store, err)
	}
	services := reflected(t, conn)
	for _, want := range []string{
		"build.bazel.remote.execution.v2.ContentAddressableStorage", "build.bazel.remote.execution.v2.ActionCache",
		"build.bazel.remote.execution.v2.Capabilities", "google.bytestream.ByteStream", "larder.admin.v1.Admin",
		"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	} {
		if !strings.Contains(services, want+"\n") {
			t.Errorf("reflection does not list %s", want)
		}
	}
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok", "/status": `"MaxSize": 1073741824`, "/metrics": "larder_requests_total{",
	} {
		if code, body := get(t, r, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %s", path, code, body)
		}
	}
	if code, body := get(t, r, "/cas/"+strings.Repeat("0", 64)); code != http.StatusNotFound {
		t.Errorf("an absent blob: %d, %s", code, body)
	}
	url := "http://" + r.listeners.profile.Addr().String() + "/debug/pprof/cmdline"
	if code, _ := request(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodGet, url, nil); code != http.StatusOK {
		t.Errorf("profiles: %d", code)
	}
	_, metrics := get(t, r, "/metrics")
	for _, want := range []string{
		`larder_requests_total{code="OK",listener="grpc",method="/build.bazel.remote.execution.v2.Capabilities/GetCapabilities"} 1`,
		`larder_requests_total{code="404",listener="http",method="GET /cas"} 1`,
		`larder_segment_`,
		"go_goroutines ", "process_open_fds ", "go_build_info{",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not have %s", want)
		}
	}
	requireDocumented(t, metrics)
	if strings.Contains(metrics, `larder_store_lookups_total{kind="cas",result="miss",verb="get"} 0`) {
		t.Error("the store is not metered")
	}
}

// requireDocumented fails the test if docs/operations.md lacks a metric.
func requireDocumented(t *testing.T, metrics string) {
	t.Helper()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (larder_\w+)`).FindAllStringSubmatch(metrics, -1) {
		if !regexp.MustCompile("`" + name[1] + "[`{]").Match(page) {
			t.Errorf("docs/operations.md does not have the metric %s", name[1])
		}
	}
}

// reflected returns the names of the services, one a line.
func reflected(t *testing.T, conn *grpc.ClientConn) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for _, s := range resp.GetListServicesResponse().GetService() {
		names.WriteString(s.GetName() + "\n")
	}
	return names.String()
}

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	grpcPath, httpPath := filepath.Join(dir, "g"), filepath.Join(dir, "h")
	// A server that was killed leaves its socket.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: grpcPath, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()

	r := start(t, "--grpc_address=unix://"+grpcPath, "--http_address=unix:"+httpPath)
	if _, err := repb.NewCapabilitiesClient(r.dial(t)).GetCapabilities(t.Context(), &repb.GetCapabilitiesRequest{}); err != nil {
		t.Error(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", httpPath)
	}}}
	if code, _ := request(t, client, http.MethodGet, "http://larder/healthz", nil); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
	if strings.Contains(r.log.String(), "WARN") {
		t.Error("a warning for a unix socket")
	}
	_, err = listen(t.Context(), "grpc_address", address{"unix", grpcPath})
	if err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("a served socket: %v", err)
	}
}

func TestStopFinishesUploads(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn := r.dial(t)
	u := beginUpload(t, r, conn)
	body, bodyWriter := io.Pipe()
	put := make(chan int, 1)
	data := []byte("over HTTP")
	d := digest.Of(digest.SHA256, data)
	hash := d.Hex()
	go func() {
		code, _ := request(t, http.DefaultClient, http.MethodPut, r.httpURL("/cas/"+hash), body)
		put <- code
	}()
	if _, err := bodyWriter.Write(data[:4]); err != nil {
		t.Fatal(err)
	}
	for r.watch.InFlight() < 2 {
		poll(t)
	}

	r.signals <- syscall.SIGTERM
	r.awaitStopping(t)
	if err := r.healthy(); err == nil {
		t.Error("ready while stopping")
	}
	awaitRefusal(t, r.listeners.grpc.Addr())
	awaitRefusal(t, r.listeners.http.Addr())

	u.send(len(u.data)/2, len(u.data))
	resp, err := u.stream.CloseAndRecv()
	if err != nil || resp.GetCommittedSize() != u.digest.Size() {
		t.Errorf("the upload under way: %v, %v", resp, err)
	}
	if _, err := bodyWriter.Write(data[4:]); err != nil {
		t.Fatal(err)
	}
	bodyWriter.Close()
	if code := <-put; code != http.StatusOK {
		t.Errorf("the HTTP upload under way: %d", code)
	}
	if err := r.wait(t); err != nil {
		t.Fatal("stopped with", err)
	}

	again := start(t, "--dir="+r.cfg.Dir)
	missing, err := repb.NewContentAddressableStorageClient(again.dial(t)).FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{
		BlobDigests: []*repb.Digest{
			{Hash: u.digest.Hex(), SizeBytes: u.digest.Size()}, {Hash: hash, SizeBytes: d.Size()},
		},
	})
	if err != nil || len(missing.GetMissingBlobDigests()) != 0 {
		t.Errorf("after a restart: %v, %v", missing, err)
	}
}

// awaitRefusal waits until nobody listens any more.
func awaitRefusal(t *testing.T, addr net.Addr) {
	t.Helper()
	for {
		c, err := new(net.Dialer).DialContext(t.Context(), addr.Network(), addr.String())
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			c.Close()
		}
		poll(t)
	}
}

func TestStopCutsOff(t *testing.T) {
	t.Parallel()
	r := start(t, "--shutdown_timeout=1ms")
	u := beginUpload(t, r, r.dial(t))
	r.signals <- os.Interrupt
	if err := r.wait(t); err != nil {
		t.Error("stopped with", err)
	}
	if _, err := u.stream.CloseAndRecv(); err == nil {
		t.Error("an upload that was cut off was acknowledged")
	}
	if !strings.Contains(r.log.String(), "cutting off") {
		t.Error("the log does not say that requests were cut off")
	}
}

func TestSecondSignal(t *testing.T) {
	t.Parallel()
	r := start(t, "--shutdown_timeout=1h")
	conn := r.dial(t)
	beginUpload(t, r, conn)
	r.signals <- syscall.SIGTERM
	r.awaitStopping(t)
	r.signals <- syscall.SIGTERM
	if err := r.wait(t); !errors.Is(err, errQuit) {
		t.Errorf("left with %v, want errQuit", err)
	}
	// Here, where the process lives on, the stopping does.
	conn.Close()
	for !strings.Contains(r.log.String(), "msg=stopped") {
		poll(t)
	}
}

func TestSignalWhileOpening(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 2)
	signals <- syscall.SIGTERM
	err := interruptible(signals, func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("recovery: %w", ctx.Err())
	})
	if err != nil {
		t.Errorf("interrupted: %v", err)
	}
	failure := errors.New("disk on fire")
	signals <- syscall.SIGTERM
	if err := interruptible(signals, func(context.Context) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("failed: %v", err)
	}
	if len(signals) != 1 {
		t.Error("a signal that came too late is lost")
	}
	forever := make(chan struct{})
	defer close(forever)
	signals <- syscall.SIGTERM
	err = interruptible(signals, func(context.Context) error { <-forever; return nil })
	if !errors.Is(err, errQuit) {
		t.Errorf("two signals: %v", err)
	}
}

// TestStopEndsWatches: streams that never end by themselves do not keep a
// server from stopping.
func TestStopEndsWatches(t *testing.T) {
	t.Parallel()
	r := start(t, "--shutdown_timeout=1h")
	conn := r.dial(t)
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatal(first, err)
	}
	reflection, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for r.watch.InFlight() < 2 {
		poll(t)
	}
	r.signals <- syscall.SIGTERM
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	if _, err := reflection.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("reflection ended with %v", err)
	}
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	r := start(t, "--idle_timeout=1ms")
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

func TestFailingListener(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.listeners.http.Close()
	if err := r.wait(t); err == nil || !strings.Contains(err.Error(), "http_address") {
		t.Errorf("left with %v", err)
	}
}

func TestSystemd(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := startWith(t, system{environ: []string{"NOTIFY_SOCKET=" + socket}},
		"--dir="+filepath.Join(t.TempDir(), "store"), "--max_size=1", "--grpc_address=127.0.0.1:0", "--http_address=none")
	expect := func(want string) {
		t.Helper()
		buf := make([]byte, 100)
		if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("systemd gets %q, %v, want %q", buf[:n], err, want)
		}
	}
	expect("READY=1")
	r.signals <- syscall.SIGTERM
	expect("STOPPING=1")
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// TestSettingsArrive tells that settings have the effect that they promise,
// where no package's own test can.
func TestSettingsArrive(t *testing.T) {
	t.Parallel()
	data := []byte("hello")
	d := digest.Of(digest.SHA256, data)
	blob := &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
	update := func(t *testing.T, r *running, instance string) codes.Code {
		t.Helper()
		resp, err := repb.NewContentAddressableStorageClient(r.dial(t)).BatchUpdateBlobs(t.Context(), &repb.BatchUpdateBlobsRequest{
			InstanceName: instance, Requests: []*repb.BatchUpdateBlobsRequest_Request{{Digest: blob, Data: data}},
		})
		if err != nil {
			return status.Code(err)
		}
		return codes.Code(resp.GetResponses()[0].GetStatus().GetCode())
	}
	found := func(t *testing.T, r *running, instance string) bool {
		t.Helper()
		resp, err := repb.NewContentAddressableStorageClient(r.dial(t)).FindMissingBlobs(t.Context(), &repb.FindMissingBlobsRequest{
			InstanceName: instance, BlobDigests: []*repb.Digest{blob},
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(resp.GetMissingBlobDigests()) == 0
	}
	// result stores an action result in one instance and tells whether the
	// other sees it.
	result := func(t *testing.T, r *running) bool {
		t.Helper()
		ac := repb.NewActionCacheClient(r.dial(t))
		_, err := ac.UpdateActionResult(t.Context(), &repb.UpdateActionResultRequest{
			InstanceName: "a", ActionDigest: blob, ActionResult: &repb.ActionResult{ExitCode: 0, StdoutRaw: []byte("x")},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = ac.GetActionResult(t.Context(), &repb.GetActionResultRequest{InstanceName: "b", ActionDigest: blob})
		return err == nil
	}
	for _, tc := range []struct {
		name  string
		args  []string
		check func(t *testing.T, r *running)
	}{
		{"defaults", nil, func(t *testing.T, r *running) {
			t.Helper()
			if code := update(t, r, "a"); code != codes.OK {
				t.Errorf("update: %v", code)
			}
			if !found(t, r, "b") {
				t.Error("the CAS is not shared")
			}
			if result(t, r) {
				t.Error("action results are shared")
			}
			if strings.Contains(r.log.String(), "msg=access") {
				t.Error("there is an access log")
			}
		}},
		{"isolate_cas", []string{"--isolate_cas"}, func(t *testing.T, r *running) {
			t.Helper()
			if update(t, r, "a"); found(t, r, "b") || !found(t, r, "a") {
				t.Error("the CAS is shared")
			}
		}},
		{"enable_ac_key_instance_mangling=false", []string{"--enable_ac_key_instance_mangling=false"}, func(t *testing.T, r *running) {
			t.Helper()
			if !result(t, r) {
				t.Error("action results are not shared")
			}
		}},
		{"read_only", []string{"--read_only"}, func(t *testing.T, r *running) {
			t.Helper()
			if code := update(t, r, ""); code != codes.PermissionDenied {
				t.Errorf("update: %v", code)
			}
			code, _ := request(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodPut, r.httpURL("/cas/"+blob.GetHash()), bytes.NewReader(data))
			if code != http.StatusForbidden && code != http.StatusMethodNotAllowed {
				t.Errorf("PUT: %d", code)
			}
		}},
		{"max_blob_size", []string{"--max_blob_size=4"}, func(t *testing.T, r *running) {
			t.Helper()
			if code := update(t, r, ""); code != codes.InvalidArgument {
				t.Errorf("update: %v", code)
			}
		}},
		{"disable_http_ac_validation", []string{"--disable_http_ac_validation"}, func(t *testing.T, r *running) {
			t.Helper()
			code, body := request(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodPut, r.httpURL("/ac/"+blob.GetHash()), strings.NewReader("\xff opaque"))
			if code != http.StatusOK {
				t.Errorf("PUT: %d %s", code, body)
			}
		}},
		{"access_log_level", []string{"--access_log_level=all", "--log_level=error"}, func(t *testing.T, r *running) {
			t.Helper()
			update(t, r, "team/a")
			if log := r.log.String(); !strings.Contains(log, "msg=access listener=grpc method=/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs code=OK instance=team/a") {
				t.Error("there is no such line")
			}
		}},
		{"enable_endpoint_metrics", []string{"--enable_endpoint_metrics=false"}, func(t *testing.T, r *running) {
			t.Helper()
			get(t, r, "/healthz")
			if _, metrics := get(t, r, "/metrics"); strings.Contains(metrics, "larder_request_duration_seconds") || !strings.Contains(metrics, "larder_requests_total{") {
				t.Error("durations are measured, or requests are not counted")
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, tc.args...)
			tc.check(t, r)
		})
	}
}
