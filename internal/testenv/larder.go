package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Deadlines are for what has gone wrong, not for what is slow: each is many
// times what the slowest machine needs.
const (
	readyWithin = 60 * time.Second
	stopWithin  = 60 * time.Second
	pollEvery   = 2 * time.Millisecond
)

// Larder is the built server program.
type Larder struct{ path string }

// BuildLarder compiles ./server into a folder that the caller removes. With
// race it carries the race detector, whose reports end the process with code 66.
func BuildLarder(ctx context.Context, root, dir string, race bool) (Larder, error) {
	path := filepath.Join(dir, "larder")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./server")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return Larder{}, fmt.Errorf("building ./server: %w\n%s", err, out)
	}
	return Larder{path: path}, nil
}

// Path is the program's file.
func (l Larder) Path() string { return l.path }

// Options are how a server is started. The zero value works.
type Options struct {
	// Dir is the store's folder; default: one that the test removes.
	Dir string
	// Args are further flags, Env further variables ("NAME=value").
	Args, Env []string
}

// Server is one larder process after another on the same folder and ports.
type Server struct {
	// GRPC and HTTP are its addresses, "host:port".
	GRPC, HTTP string
	// Dir is the store's folder.
	Dir string

	larder Larder
	opts   Options
	cmd    *exec.Cmd
	log    *lockedBuffer
	exited chan struct{} // closed when the process is gone
	err    error         // what it left with, after exited
}

// Start starts a server on free ports and waits until it answers. The test
// kills it at its end if it runs still.
func (l Larder) Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	s := &Server{larder: l, opts: opts, Dir: opts.Dir, GRPC: freeAddress(tb), HTTP: freeAddress(tb)}
	if s.Dir == "" {
		s.Dir = filepath.Join(tb.TempDir(), "store")
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("log of larder:\n%s", tail(s.Log(), 16<<10))
		}
		s.Kill()
	})
	s.Launch(tb)
	s.AwaitReady(tb)
	return s
}

// Launch starts the process, which must not run, and returns at once.
func (s *Server) Launch(tb testing.TB) {
	tb.Helper()
	args := append([]string{"--dir", s.Dir, "--grpc_address", s.GRPC, "--http_address", s.HTTP}, s.opts.Args...)
	s.cmd = exec.Command(s.larder.path, args...)
	s.cmd.Env = append(Environ(), s.opts.Env...)
	s.log = new(lockedBuffer)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		tb.Fatalf("starting larder: %v", err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(cmd *exec.Cmd) {
		s.err = cmd.Wait()
		close(exited)
	}(s.cmd)
}

// AwaitReady waits until the process says that it is healthy.
func (s *Server) AwaitReady(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), readyWithin)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		if err := s.healthy(ctx); err == nil {
			return
		}
		select {
		case <-s.exited:
			tb.Fatalf("larder left before it was ready: %v\n%s", s.err, s.Log())
		case <-ctx.Done():
			tb.Fatalf("larder was not ready within %v:\n%s", readyWithin, s.Log())
		case <-ticker.C:
		}
	}
}

func (s *Server) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTP+"/healthz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz: %s", resp.Status)
	}
	if !Answers(ctx, s.GRPC) {
		return errors.New("the gRPC listener does not answer")
	}
	return nil
}

// Kill ends the process at once, as kill -9 does, and waits until it is gone.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	// It fails where the process is gone already, which is as well.
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// Stop asks the process to leave, as kill does, and fails the test unless it
// leaves with code 0.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatalf("larder: SIGTERM: %v\n%s", err, s.Log())
	}
	select {
	case <-s.exited:
		if s.err != nil {
			tb.Fatalf("larder after SIGTERM: %v\n%s", s.err, s.Log())
		}
	case <-time.After(stopWithin):
		tb.Fatalf("larder runs %v after SIGTERM:\n%s", stopWithin, s.Log())
	}
}

// Restart starts the process again, which was killed or stopped, and waits
// until it answers.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Launch(tb)
	s.AwaitReady(tb)
}

// Log is what the process has printed since its last start.
func (s *Server) Log() string {
	if s.log == nil {
		return ""
	}
	return s.log.String()
}

// PeakRSS is the most memory in bytes that the process has had resident.
func (s *Server) PeakRSS() (int64, error) { return s.status("VmHWM") }

// RSS is the memory in bytes that the process has resident.
func (s *Server) RSS() (int64, error) { return s.status("VmRSS") }

// status reads a field of /proc/PID/status that is in kB.
func (s *Server) status(field string) (int64, error) {
	path := fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New(path + " has no " + field)
}

// tail returns the end of s, at most n bytes of it.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }
