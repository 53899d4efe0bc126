package main

import (
	"context"
	"net"
	"strings"
	"time"
)

// notifySystemd tells systemd of a change ("READY=1", "STOPPING=1") if it has
// asked to be told, for units of Type=notify. That it does not listen is no
// reason not to serve.
func notifySystemd(environ []string, state string) error {
	var socket string
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, "NOTIFY_SOCKET="); ok {
			socket = v
		}
	}
	if socket == "" {
		return nil
	}
	if strings.HasPrefix(socket, "@") { // a name in Linux's abstract namespace
		socket = "\x00" + socket[1:]
	}
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(context.Background(), "unixgram", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}
