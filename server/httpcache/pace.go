package httpcache

import (
	"io"
	"net/http"
	"time"
)

// pace sets a connection's deadlines so that a transfer may take as long as it
// goes on: each step has the stall timeout. Limits that the http.Server has on
// whole requests stay in force.
type pace struct {
	conn  *http.ResponseController
	stall time.Duration
	// readBy and writeBy are the server's own limits, zero where it has none.
	readBy, writeBy time.Time
}

func (h *Handler) newPace(w http.ResponseWriter, r *http.Request) pace {
	p := pace{conn: http.NewResponseController(w), stall: h.opts.StallTimeout}
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		p.readBy, p.writeBy = limitFromNow(srv.ReadTimeout), limitFromNow(srv.WriteTimeout)
	}
	return p
}

func limitFromNow(d time.Duration) (t time.Time) {
	if d > 0 {
		t = time.Now().Add(d)
	}
	return t
}

// next returns the deadline of a step that begins now.
func (p *pace) next(limit time.Time) time.Time {
	t := time.Now().Add(p.stall)
	if !limit.IsZero() && limit.Before(t) {
		return limit
	}
	return t
}

// Some ResponseWriters have no deadlines: then a step takes what it takes.

func (p *pace) reading()     { _ = p.conn.SetReadDeadline(p.next(p.readBy)) }
func (p *pace) writing()     { _ = p.conn.SetWriteDeadline(p.next(p.writeBy)) }
func (p *pace) doneReading() { _ = p.conn.SetReadDeadline(time.Time{}) }
func (p *pace) doneWriting() { _ = p.conn.SetWriteDeadline(p.writeBy) }

// paced is a response's body at a pace.
type paced struct {
	w    io.Writer
	pace pace
}

func (p *paced) Write(b []byte) (int, error) {
	p.pace.writing()
	return p.w.Write(b)
}
