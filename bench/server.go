package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// startDeadline is how long a server may take to answer first.
	startDeadline = 2 * time.Minute
	// stopDeadline is how long it may take to end before it is killed.
	stopDeadline = 30 * time.Second
	// pollInterval is the pause between two tries to reach a starting server.
	pollInterval = time.Millisecond
	// logTail is how much of a server's output an error message shows.
	logTail = 1 << 10
)

// server is a contender that answers.
type server struct {
	contender
	*target
	profileURL string
	cmd        *exec.Cmd     // nil for one that ran before
	log        string        // file of the output
	ended      chan struct{} // closed when the process has ended
}

// launcher starts servers, each in a directory of its own below dir.
type launcher struct {
	dir                  string
	maxSizeGiB           float64
	connections, callers int
	profile              bool
	count                int
}

// start brings the contender up, with an empty store, and waits until it
// answers.
func (l *launcher) start(ctx context.Context, c contender) (*server, error) {
	if c.program == "" {
		return l.attach(ctx, c)
	}
	l.count++
	dir := filepath.Join(l.dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(c.name, string(filepath.Separator), "_"), l.count))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := l.spawn(ctx, c, dir)
	if err != nil {
		return nil, err
	}
	return s, l.wait(ctx, s)
}

// attach connects to a server that runs.
func (l *launcher) attach(ctx context.Context, c contender) (*server, error) {
	if _, err := cpuTime(c.pid); err != nil {
		return nil, fmt.Errorf("server %s: %w", c.name, err)
	}
	t, err := dialTarget(c.name, c.grpcAddress, c.httpAddress, l.connections, l.callers)
	if err != nil {
		return nil, err
	}
	s := &server{contender: c, target: t}
	return s, l.wait(ctx, s)
}

// spawn starts the program over the store in dir.
func (l *launcher) spawn(ctx context.Context, c contender, dir string) (*server, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	c.grpcAddress, c.httpAddress = ports[0], ports[1]
	args := append([]string{"--grpc_address", ports[0], "--http_address", ports[1], "--max_size", fmt.Sprint(l.maxSizeGiB)}, c.flags...)
	if c.store {
		args = append(args, "--dir", filepath.Join(dir, "store"))
	}
	s := &server{contender: c, log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	if l.profile {
		args = append(args, "--profile_address", ports[2])
		s.profileURL = "http://" + ports[2] + "/debug/pprof/"
	}
	if s.target, err = dialTarget(c.name, ports[0], ports[1], l.connections, l.callers); err != nil {
		return nil, err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.CommandContext(ctx, c.program, args...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Env = log, log, plainEnvironment()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("server %s: %w", c.name, err)
	}
	s.pid = s.cmd.Process.Pid
	go func() {
		_ = s.cmd.Wait() // ProcessState has what it tells
		close(s.ended)
	}()
	return s, nil
}

// plainEnvironment is the environment without the settings of servers.
func plainEnvironment() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "LARDER_") && !strings.HasPrefix(kv, "BAZEL_REMOTE_") {
			out = append(out, kv)
		}
	}
	return out
}

// freePorts returns loopback addresses nobody listens at just now.
func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// wait returns when the server answers; if it does not, the server is stopped.
func (l *launcher) wait(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	err := s.waitListening(ctx)
	if err == nil {
		err = s.hello(ctx)
	}
	if err != nil {
		err = fmt.Errorf("server %s at %s does not answer: %w%s", s.contender.name, s.grpcAddress, err, s.tail())
		return errors.Join(err, s.stop())
	}
	return nil
}

// waitListening polls with plain connections, which cost less and can be tried
// sooner again than gRPC's.
func (s *server) waitListening(ctx context.Context) error {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", s.grpcAddress)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended at once: %v", s.cmd.ProcessState)
		case <-ctx.Done():
			return err
		case <-time.After(pollInterval):
		}
	}
}

// tail returns the end of what the server has printed, as part of a message.
func (s *server) tail() string {
	if s.log == "" {
		return ""
	}
	text, err := os.ReadFile(s.log)
	text = bytes.TrimSpace(text)
	if err != nil || len(text) == 0 {
		return ""
	}
	return "; it printed:\n" + string(text[max(0, len(text)-logTail):])
}

// stop ends a server that was started here and removes its store.
func (s *server) stop() error {
	err := s.end()
	if s.cmd == nil {
		return nil
	}
	return errors.Join(err, os.RemoveAll(filepath.Dir(s.log)))
}

// end disconnects, and ends a server that was started here. It may be called
// twice.
func (s *server) end() error {
	s.close()
	if s.cmd == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.ended:
		return nil
	case <-time.After(stopDeadline):
		_ = s.cmd.Process.Kill() // likewise
		<-s.ended
		return fmt.Errorf("server %s did not end within %v of SIGTERM", s.contender.name, stopDeadline)
	}
}
