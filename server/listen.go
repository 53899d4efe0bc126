package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// listen opens the listener of a setting. The error says what to do.
func listen(ctx context.Context, setting string, a address) (net.Listener, error) {
	if a.network == "unix" {
		if err := removeStaleSocket(ctx, a.address); err != nil {
			return nil, fmt.Errorf("%s %q: %w", setting, a, err)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, a.network, a.address)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", setting, a, explainListen(setting, err))
	}
	return l, nil
}

func explainListen(setting string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another process listens there: stop it, or choose another address with --%s (port 0 lets the system choose): %w", setting, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not listen there: choose a port above 1023, or a socket in a directory of your own: %w", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no such address: use one of its own, 127.0.0.1, or 0.0.0.0 for all: %w", err)
	}
	return err
}

// removeStaleSocket removes a socket that a killed server has left. It leaves
// everything else alone, and above all a socket that is served.
func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file at that path that is no socket: choose another path, or remove it")
	}
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
		return errors.New("another process listens there: stop it, or choose another path")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// reachable tells whether other machines can reach the listener.
func reachable(l net.Listener) bool {
	tcp, ok := l.Addr().(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}
