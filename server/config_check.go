package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/larder-build/larder/server/blobstore/segment"
	"github.com/larder-build/larder/server/reapi"
)

// defaultMaxSize is what a store may occupy unless the user says otherwise or
// the disk is small.
const defaultMaxSize = 10 * gib

// complete fills in what depends on the machine and folds bazel-remote's
// deprecated settings into those that replaced them.
func (c *config) complete() error {
	if c.Dir == "" {
		return errors.New("dir: this user has no cache directory to put the store in: set --dir")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("dir %q: %w", c.Dir, err)
	}
	c.Dir = dir
	if !c.isSet("max_size") {
		c.MaxSize = defaultMaxSizeOf(dir)
	}
	return c.foldDeprecated()
}

// defaultMaxSizeOf returns the default for a store in dir: no more than a tenth
// of its file system.
func defaultMaxSizeOf(dir string) gibibytes {
	total := fileSystemSize(dir)
	if total <= 0 {
		return defaultMaxSize
	}
	return gibibytes(max(1, min(defaultMaxSize, total/10/mib*mib)))
}

// deprecated is a host and a port that an address has replaced.
type deprecated struct {
	host, port, address string // the settings
	hostValue           string
	portValue           int
	unsetPort           int // what the port is where only the host is set
	target              *string
}

// foldDeprecated turns host and port settings into addresses, with
// bazel-remote's meaning: no host is every interface, and port 0 is none.
func (c *config) foldDeprecated() error {
	if c.isSet("host") && c.isSet("http_address") && c.isSet("grpc_address") {
		return c.wrong("host", c.Host, "has no effect beside http_address and grpc_address: remove it")
	}
	return errors.Join(
		c.fold(deprecated{"host", "port", "http_address", c.Host, c.Port, 8080, &c.HTTPAddress}),
		c.fold(deprecated{"host", "grpc_port", "grpc_address", c.Host, c.GRPCPort, 9092, &c.GRPCAddress}),
		c.fold(deprecated{"profile_host", "profile_port", "profile_address", c.ProfileHost, c.ProfilePort, 0, &c.ProfileAddress}),
	)
}

func (c *config) fold(d deprecated) error {
	port, name := d.portValue, d.port
	if !c.isSet(d.port) {
		port, name = d.unsetPort, d.host
	}
	switch {
	case !c.isSet(name):
		return nil
	case c.isSet(d.address) && name == "host":
		return nil // it is there for the other address
	case c.isSet(d.address):
		return fmt.Errorf("%s (%v) and %s (%v) contradict each other: keep %s",
			name, c.origin(name), d.address, c.origin(d.address), d.address)
	case port < 0 || port > 65535:
		return c.wrong(d.port, port, "is not a port: use one from 1 to 65535")
	case port == 0:
		*d.target = none
	default:
		*d.target = net.JoinHostPort(d.hostValue, strconv.Itoa(port))
	}
	c.origins[d.address] = c.origins[name]
	return nil
}

// check finds settings that make no sense, alone or together.
func (c *config) check() error {
	return errors.Join(
		c.checkAddresses(),
		c.checkDurations(),
		c.checkTLS(),
		c.checkBuckets(),
		c.checkSizes(),
	)
}

func (c *config) checkAddresses() error {
	addresses := map[string]string{}
	for _, a := range []struct{ name, value string }{
		{"grpc_address", c.GRPCAddress}, {"http_address", c.HTTPAddress}, {"profile_address", c.ProfileAddress},
	} {
		if a.value == "" && a.name == "profile_address" || a.value == none {
			continue
		}
		addr, err := parseAddress(a.value)
		if err != nil {
			return c.wrong(a.name, a.value, err.Error())
		}
		if other, taken := addresses[a.value]; taken && !addr.anyPort() {
			return fmt.Errorf("%s and %s are both %q (%v and %v): give each its own",
				other, a.name, a.value, c.origin(other), c.origin(a.name))
		}
		addresses[a.value] = a.name
	}
	if c.GRPCAddress == none && c.HTTPAddress == none {
		return fmt.Errorf("grpc_address and http_address are both %q (%v and %v), so there is nothing to serve: give one an address",
			none, c.origin("grpc_address"), c.origin("http_address"))
	}
	return nil
}

func (c *config) checkDurations() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"min_ttl", c.MinTTL, 0},
		{"sync_interval", c.SyncInterval, time.Millisecond},
		{"http_read_timeout", c.HTTPReadTimeout, 0},
		{"http_write_timeout", c.HTTPWriteTimeout, 0},
		{"partial_uploads_ttl", c.PartialUploadsTTL, time.Second},
		{"idle_timeout", c.IdleTimeout, 0},
		{"shutdown_timeout", c.ShutdownTimeout, 0},
	} {
		if d.value < d.least {
			return c.wrong(d.name, d.value, fmt.Sprintf("is too little: use %v or more", d.least))
		}
	}
	return nil
}

func (c *config) checkTLS() error {
	switch {
	case c.TLSKeyFile != "" && c.TLSCertFile == "":
		return c.wrong("tls_key_file", c.TLSKeyFile, "comes without a certificate: set tls_cert_file as well, or neither")
	case c.TLSCertFile != "" && c.TLSKeyFile == "":
		return c.wrong("tls_cert_file", c.TLSCertFile, "comes without its key: set tls_key_file as well, or neither")
	case c.MinTLSVersion == "1.0" || c.MinTLSVersion == "1.1":
		return c.wrong("min_tls_version", c.MinTLSVersion, "is broken and not offered: use 1.2 or 1.3")
	}
	return nil
}

func (c *config) checkBuckets() error {
	last := 0.0
	for _, b := range c.EndpointMetricsDurationBuckets {
		if !(b > last) {
			return c.wrong("endpoint_metrics_duration_buckets", b, "is out of order: list positive seconds, each more than the one before")
		}
		last = b
	}
	return nil
}

// The bounds of max_batch: a batch must fit gRPC's usual limit of 4 MiB a
// message with the framing of its blobs, and clients expect one of some use.
const (
	leastBatch = 64 * kib
	mostBatch  = reapi.MaxReplyBytes - 128*kib
	// leastInflight has room for a few of the largest messages.
	leastInflight = 32 * mib
)

func (c *config) checkSizes() error {
	if c.MaxSize < segment.MinMaxBytes {
		return c.wrong("max_size", c.MaxSize, "is too small for a store: use "+formatSize(segment.MinMaxBytes)+" or more")
	}
	if c.MaxBatch < leastBatch || c.MaxBatch > mostBatch {
		return c.wrong("max_batch", c.MaxBatch, fmt.Sprintf("is out of range: use %s to %s", formatSize(leastBatch), formatSize(mostBatch)))
	}
	if c.MaxInflight < leastInflight {
		return c.wrong("max_inflight", c.MaxInflight, "is too little for a few requests at a time: use "+formatSize(leastInflight)+" or more")
	}
	return nil
}

// wrong says that a setting's value is wrong, and why.
func (c *config) wrong(name string, value any, why string) error {
	return fmt.Errorf("%s %q (%v) %s", name, fmt.Sprint(value), c.origin(name), why)
}

// none is the address that turns a listener off.
const none = "none"

// address is where a listener listens.
type address struct {
	network string // tcp or unix
	address string
}

// parseAddress parses host:port, :port, unix:/path or unix:///path.
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return address{}, errors.New("has no path: write unix:/path/of/socket")
		}
		return address{network: "unix", address: path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, errors.New("is not an address: write host:port such as 127.0.0.1:9092, unix:/path/of/socket, or none")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return address{}, fmt.Errorf("has no valid port (%q): use a number from 0 to 65535", port)
	} else if n == 0 {
		port = "0"
	}
	return address{network: "tcp", address: net.JoinHostPort(host, port)}, nil
}

// anyPort tells whether the system chooses the port.
func (a address) anyPort() bool {
	return a.network == "tcp" && strings.HasSuffix(a.address, ":0")
}

// String returns the form that parseAddress reads.
func (a address) String() string {
	if a.network == "unix" {
		return "unix:" + a.address
	}
	return a.address
}
