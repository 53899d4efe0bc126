package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// writeCertificate writes a certificate for 127.0.0.1 of that serial number,
// and trusts it.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "larder"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "EC PRIVATE KEY", keyDER)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// served returns the serial number of the certificate that is in use.
func served(t *testing.T, addr net.Addr, pool *x509.CertPool) int64 {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{RootCAs: pool}}
	c, err := d.DialContext(t.Context(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := x509.NewCertPool()
	writeCertificate(t, certFile, keyFile, 1, pool)
	r := start(t, "--tls_cert_file="+certFile, "--tls_key_file="+keyFile)
	conn, err := grpc.NewClient("passthrough:"+r.listeners.grpc.Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := repb.NewCapabilitiesClient(conn).GetCapabilities(t.Context(), &repb.GetCapabilitiesRequest{}); err != nil {
		t.Error("gRPC:", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
	if code, _ := request(t, &http.Client{Transport: transport}, http.MethodGet, "https://"+r.listeners.http.Addr().String()+"/healthz", nil); code != http.StatusOK {
		t.Errorf("HTTP: %d", code)
	}
	if _, err := repb.NewCapabilitiesClient(r.dial(t)).GetCapabilities(t.Context(), &repb.GetCapabilitiesRequest{}); err == nil {
		t.Error("gRPC without TLS was answered")
	}
	old := tls.Dialer{Config: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}} //nolint:gosec // it must fail
	if c, err := old.DialContext(t.Context(), "tcp", r.listeners.http.Addr().String()); err == nil {
		c.Close()
		t.Error("TLS 1.1 was taken")
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := x509.NewCertPool()
	writeCertificate(t, certFile, keyFile, 1, pool)
	r := start(t, "--tls_cert_file="+certFile, "--tls_key_file="+keyFile)
	addr := r.listeners.grpc.Addr()
	if n := served(t, addr, pool); n != 1 {
		t.Fatalf("certificate %d is in use, want 1", n)
	}
	// Half written, and gone: the old one stays.
	if err := os.WriteFile(certFile, []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := served(t, addr, pool); n != 1 {
		t.Errorf("certificate %d is in use, want 1", n)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if n := served(t, addr, pool); n != 1 {
		t.Errorf("certificate %d is in use, want 1", n)
	}
	if !strings.Contains(r.log.String(), "the old one stays in use") {
		t.Error("the log does not say so")
	}
	writeCertificate(t, certFile, keyFile, 22, pool)
	if n := served(t, addr, pool); n != 22 {
		t.Errorf("certificate %d is in use, want 22", n)
	}
}

// TestGarbageOnThePort: a listener shrugs it off, counts it, and serves on.
func TestGarbageOnThePort(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, addr := range []net.Addr{r.listeners.grpc.Addr(), r.listeners.http.Addr()} {
		for _, garbage := range []string{"\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\r\n\r\n", strings.Repeat("x", 1<<20)} {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, garbage) // it may close on us
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}
	if _, err := repb.NewCapabilitiesClient(r.dial(t)).GetCapabilities(t.Context(), &repb.GetCapabilitiesRequest{}); err != nil {
		t.Error("gRPC afterwards:", err)
	}
	_, metrics := get(t, r, "/metrics")
	for _, want := range []string{`larder_foreign_connections_total{listener="grpc"} 4`, `larder_foreign_connections_total{listener="http"} 4`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not have %s", want)
		}
	}
}
