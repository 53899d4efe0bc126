package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof" // registers itself for --profile_address
	"os"
	"os/signal"
	"syscall"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	bspb "google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
)

// config is the command line.
type config struct {
	grpcAddress, httpAddress, profileAddress string
	maxSizeGiB                               float64
}

func main() {
	var c config
	flag.StringVar(&c.grpcAddress, "grpc_address", "127.0.0.1:9092", "`address` of the gRPC listener")
	flag.StringVar(&c.httpAddress, "http_address", "127.0.0.1:8080", "`address` of the HTTP listener")
	flag.StringVar(&c.profileAddress, "profile_address", "", "`address` of /debug/pprof (default none)")
	flag.Float64Var(&c.maxSizeGiB, "max_size", 2, "most content to keep, in `GiB`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// run serves until the context ends or a listener fails.
func run(ctx context.Context, c config) error {
	s := newStore(int64(c.maxSizeGiB * (1 << 30)))
	g, err := newGRPCServer(s)
	if err != nil {
		return err
	}
	defer g.Stop()
	failed := make(chan error, 3)
	gl, err := net.Listen("tcp", c.grpcAddress)
	if err != nil {
		return err
	}
	go func() { failed <- g.Serve(gl) }()
	if err := serveHTTP(c.httpAddress, newHTTPHandler(s), failed); err != nil {
		return err
	}
	if c.profileAddress != "" {
		if err := serveHTTP(c.profileAddress, http.DefaultServeMux, failed); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return errors.Join(errors.New("listener failed"), err)
	}
}

func serveHTTP(address string, h http.Handler, failed chan<- error) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() { failed <- http.Serve(l, h) }()
	return nil
}

// newGRPCServer is grpc-go as it comes, with no options.
func newGRPCServer(s *store) (*grpc.Server, error) {
	bs, err := newByteStreamServer(s)
	if err != nil {
		return nil, err
	}
	g := grpc.NewServer()
	repb.RegisterCapabilitiesServer(g, capabilitiesServer{})
	repb.RegisterContentAddressableStorageServer(g, &casServer{store: s})
	repb.RegisterActionCacheServer(g, &actionServer{store: s})
	bspb.RegisterByteStreamServer(g, bs)
	return g, nil
}
