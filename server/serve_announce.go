package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
)

// announce tells that the server serves: where, from what, and what to write
// into .bazelrc. The text is for people; the log has the same for programs.
func (s *server) announce() {
	stats := s.store.Stats()
	grpcURL, httpURL := s.url(s.listeners.grpc, "grpc"), s.url(s.listeners.http, "http")
	bazelrc := "build --remote_cache=" + cmp.Or(grpcURL, httpURL)
	if s.cfg.LogFormat == "text" {
		fmt.Fprintf(s.sys.stderr, "larder %s\n  store     %s: %s of at most %s, %d blobs, %d action results\n  gRPC      %s\n  HTTP      %s\n  .bazelrc  %s\n",
			readVersion(), s.cfg.Dir, approxSize(stats.DiskBytes), approxSize(stats.MaxBytes), stats.Blobs, stats.ActionResults,
			cmp.Or(grpcURL, "off"), cmp.Or(httpURL, "off"), bazelrc)
	}
	s.log.Info("serving", slog.String("version", readVersion().String()),
		slog.String("dir", s.cfg.Dir), slog.Int64("max_bytes", stats.MaxBytes), slog.Int64("disk_bytes", stats.DiskBytes),
		slog.Int64("blobs", stats.Blobs), slog.Int64("action_results", stats.ActionResults),
		slog.String("grpc", cmp.Or(grpcURL, "off")), slog.String("http", cmp.Or(httpURL, "off")), slog.String("bazelrc", bazelrc))
	s.warnOpen("grpc_address", s.listeners.grpc)
	s.warnOpen("http_address", s.listeners.http)
	s.warnOpen("profile_address", s.listeners.profile)
	s.tellSystemd("READY=1")
}

// warnOpen says loudly that a listener is open to other machines, as there is
// no authentication.
func (s *server) warnOpen(setting string, l net.Listener) {
	if l == nil || !reachable(l) {
		return
	}
	can := "read and overwrite everything in the cache, and so decide what your builds produce"
	switch {
	case setting == "profile_address":
		can = "read what the process has in memory"
	case s.cfg.ReadOnly:
		can = "read everything in the cache"
	}
	s.log.Warn("listening without authentication on an address that other machines can reach",
		slog.String("setting", setting), slog.String("address", l.Addr().String()), slog.String("whoever_reaches_it_can", can))
}

// url returns what a client on this machine connects to; "" for no listener.
func (s *server) url(l net.Listener, scheme string) string {
	if l == nil {
		return ""
	}
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return "unix:" + l.Addr().String()
	}
	if s.tls {
		scheme += "s"
	}
	host := tcp.IP.String()
	switch {
	case tcp.IP.IsUnspecified():
		host = "127.0.0.1"
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return scheme + "://" + host + ":" + strconv.Itoa(tcp.Port)
}
