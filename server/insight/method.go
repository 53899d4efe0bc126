package insight

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// methodKey names a method of a listener. gRPC's have no verb.
type methodKey struct{ verb, name string }

func (k methodKey) String() string {
	if k.verb == "" {
		return k.name
	}
	return k.verb + " " + k.name
}

// methods finds a method without a lock or an allocation. There are few: gRPC
// calls an interceptor for registered methods only, and HTTP's are classed.
type methods struct {
	mu    sync.Mutex // of those who add
	known atomic.Pointer[map[methodKey]*method]
}

func (m *methods) find(key methodKey) *method {
	if known := m.known.Load(); known != nil {
		return (*known)[key]
	}
	return nil
}

// add returns the method of that key, which create makes if it is not there.
func (m *methods) add(key methodKey, create func() *method) *method {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.find(key); found != nil {
		return found
	}
	next := map[methodKey]*method{}
	if known := m.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	next[key] = create()
	m.known.Store(&next)
	return next[key]
}

// method has the metrics of one method at hand.
type method struct {
	name     string
	listener *listener
	// probe tells that the method is asked by monitoring, not by builds.
	probe    bool
	duration prometheus.Observer // nil if not measured
	requests *prometheus.CounterVec
	// codes are the counters by code, made at the first use: gRPC's below 100,
	// HTTP's above.
	codes [maxCode]atomic.Pointer[prometheus.Counter]
}

// maxCode is beyond every HTTP status and gRPC code.
const maxCode = 600

// method returns the method of that key; probe matters at the first use.
func (i *Insight) method(l *listener, key methodKey, probe bool) *method {
	if m := l.methods.find(key); m != nil {
		return m
	}
	return l.methods.add(key, func() *method {
		m := &method{name: key.String(), listener: l, probe: probe, requests: i.requests}
		if i.duration != nil {
			m.duration = i.duration.WithLabelValues(l.name, m.name)
		}
		return m
	})
}

// begin counts a request that arrives.
func (m *method) begin() time.Time {
	m.listener.inFlight.Add(1)
	if !m.probe {
		m.listener.working.Add(1)
	}
	return time.Now()
}

// end counts the request that began at start as answered, and returns how long
// that took.
func (i *Insight) end(m *method, start time.Time, code int) time.Duration {
	took := time.Since(start)
	if m.duration != nil {
		m.duration.Observe(took.Seconds())
	}
	m.counter(code).Inc()
	if !m.probe {
		i.lastDone.Store(start.Add(took).UnixNano())
		m.listener.working.Add(-1)
	}
	m.listener.inFlight.Add(-1)
	return took
}

func (m *method) counter(code int) prometheus.Counter {
	if code < 0 || code >= maxCode {
		code = int(codes.Unknown)
	}
	if c := m.codes[code].Load(); c != nil {
		return *c
	}
	c := m.requests.WithLabelValues(m.listener.name, m.name, codeName(code))
	m.codes[code].Store(&c)
	return c
}

// codeName is gRPC's name of its codes and the number of HTTP's.
func codeName(code int) string {
	if code < 100 {
		return codes.Code(code).String()
	}
	return strconv.Itoa(code)
}
