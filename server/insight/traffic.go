package insight

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts connections and the bytes on them, whatever they carry.
type traffic struct {
	received, sent, accepted, foreign *prometheus.CounterVec
	open                              *prometheus.GaugeVec
}

func newTraffic() traffic {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"listener"})
	}
	return traffic{
		received: counter("larder_received_bytes_total", "Bytes received on connections, by listener."),
		sent:     counter("larder_sent_bytes_total", "Bytes sent on connections, by listener."),
		accepted: counter("larder_connections_total", "Connections accepted, by listener."),
		foreign:  counter("larder_foreign_connections_total", "Connections that began with something else than the listener's protocol, by listener."),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "larder_connections_open", Help: "Connections open now, by listener.",
		}, []string{"listener"}),
	}
}

func (t *traffic) register(reg prometheus.Registerer) {
	reg.MustRegister(t.received, t.sent, t.accepted, t.foreign, t.open)
}

// Protocol is what a listener expects its clients to begin with.
type Protocol struct {
	name  string // the listener's name in metrics
	speak string // for people
	fits  func(first []byte) bool
}

// GRPC is gRPC without TLS: HTTP/2 with prior knowledge.
func GRPC() Protocol {
	return Protocol{name: "grpc", speak: "gRPC", fits: func(first []byte) bool { return isPreface(first) }}
}

// HTTP is HTTP/1 without TLS.
func HTTP() Protocol {
	return Protocol{name: "http", speak: "HTTP/1.1", fits: func(first []byte) bool {
		return 'A' <= first[0] && first[0] <= 'Z' && !isPreface(first)
	}}
}

// TLS is the protocol inside TLS.
func (p Protocol) TLS() Protocol {
	const handshake = 22 // the type of a TLS record
	p.speak += " over TLS"
	p.fits = func(first []byte) bool { return first[0] == handshake }
	return p
}

// isPreface tells whether these are the first bytes of HTTP/2.
func isPreface(first []byte) bool {
	preface := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	n := min(len(first), len(preface))
	return bytes.Equal(first[:n], preface[:n])
}

// Listener counts what goes through a listener. TLS goes on top of it, so that
// files can still be sent by the system where there is none.
func (i *Insight) Listener(l net.Listener, p Protocol) net.Listener {
	return &watchedListener{
		Listener: l,
		log:      i.opts.Logger,
		protocol: p,
		received: i.traffic.received.WithLabelValues(p.name),
		sent:     i.traffic.sent.WithLabelValues(p.name),
		accepted: i.traffic.accepted.WithLabelValues(p.name),
		foreign:  i.traffic.foreign.WithLabelValues(p.name),
		open:     i.traffic.open.WithLabelValues(p.name),
	}
}

type watchedListener struct {
	net.Listener
	log                               *slog.Logger
	protocol                          Protocol
	received, sent, accepted, foreign prometheus.Counter
	open                              prometheus.Gauge
	warned                            sync.Once
}

// begins looks at a connection's first bytes. The usual reason for strange
// ones is a client with the other listener's port, which sees no more than a
// closed connection; so the log says it, once.
func (l *watchedListener) begins(c net.Conn, first []byte) {
	if l.protocol.fits(first) {
		return
	}
	l.foreign.Inc()
	if l.log == nil {
		return
	}
	l.warned.Do(func() {
		l.log.Warn("a client speaks another protocol than this listener's; further ones are only counted",
			slog.String("listener", l.protocol.name), slog.String("expected", l.protocol.speak),
			slog.String("peer", c.RemoteAddr().String()), slog.String("begins", string(first[:min(len(first), 16)])))
	})
}

func (l *watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted.Inc()
	l.open.Inc()
	w := &watchedConn{Conn: c, listener: l}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &watchedTCP{watchedConn: w, tcp: tcp}, nil
	}
	return w, nil
}

type watchedConn struct {
	net.Conn
	listener *watchedListener
	begun    bool // used by the one goroutine that reads
	closed   sync.Once
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.listener.received.Add(float64(n))
	if !c.begun && n > 0 {
		c.begun = true
		c.listener.begins(c.Conn, p[:n])
	}
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.listener.sent.Add(float64(n))
	return n, err
}

func (c *watchedConn) Close() error {
	c.closed.Do(c.listener.open.Dec)
	return c.Conn.Close()
}

// watchedTCP lets the system copy a file to the connection by itself.
type watchedTCP struct {
	*watchedConn
	tcp *net.TCPConn
}

func (c *watchedTCP) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.tcp.ReadFrom(r)
	c.listener.sent.Add(float64(n))
	return n, err
}

func (c *watchedTCP) CloseWrite() error { return c.tcp.CloseWrite() }
