package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is the server's certificate, read again when its files change,
// so that a renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp // of the files that current, or the last failure, is from
}

// fileStamp changes when a file is replaced or written.
type fileStamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.ModTime(), info.Size()}, nil
}

func (c *certificate) stamps() (s [2]fileStamp, err error) {
	for i, path := range []string{c.certFile, c.keyFile} {
		if s[i], err = stampOf(path); err != nil {
			return s, err
		}
	}
	return s, nil
}

// get is tls.Config.GetCertificate. While the new files cannot be used, as in
// the moment between the writing of the two, the old certificate stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp, err := c.stamps()
	if err == nil && stamp == c.stamp {
		return c.current, nil
	}
	if err == nil {
		err = c.load(stamp)
	}
	if err != nil {
		c.log.Error("cannot read the renewed TLS certificate, the old one stays in use", slog.Any("error", err))
	} else {
		c.log.Info("TLS certificate read again", slog.String("file", c.certFile))
	}
	return c.current, nil
}

func (c *certificate) load(stamp [2]fileStamp) error {
	c.stamp = stamp
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current = &pair
	return nil
}

// tlsConfig returns what both listeners use; nil where TLS is off.
func tlsConfig(cfg *config, log *slog.Logger) (*tls.Config, error) {
	if cfg.TLSCertFile == "" {
		return nil, nil
	}
	c := &certificate{certFile: cfg.TLSCertFile, keyFile: cfg.TLSKeyFile, log: log}
	stamp, err := c.stamps()
	if err == nil {
		err = c.load(stamp)
	}
	if err != nil {
		return nil, fmt.Errorf("tls_cert_file %q and tls_key_file %q: %w", cfg.TLSCertFile, cfg.TLSKeyFile, err)
	}
	oldest := uint16(tls.VersionTLS12)
	if cfg.MinTLSVersion == "1.3" {
		oldest = tls.VersionTLS13
	}
	return &tls.Config{MinVersion: oldest, GetCertificate: c.get}, nil
}
