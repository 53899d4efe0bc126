package testenv

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports are taken from below the range that Linux gives to outgoing
// connections, so that none of those lands on a port between its choice and
// its use.
const (
	firstPort = 15_000
	lastPort  = 32_000
	portTries = 100
)

// freeAddress returns an address on loopback where nothing listens.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	var err error
	for range portTries {
		address := "127.0.0.1:" + strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort))
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(tb.Context(), "tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	tb.Fatalf("no free port from %d to %d: %v", firstPort, lastPort, err)
	return ""
}

// Answers reports whether something listens on that address.
func Answers(ctx context.Context, address string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
