package insight

import (
	"context"
	"time"
)

// WaitIdle returns nil once there was no request for that long. Probes (health
// checks, reflection, the admin API, /status, /metrics, /healthz, /readyz) do
// not count as requests, or monitoring would keep an unused server alive. It
// returns the context's error if that ends first.
func (i *Insight) WaitIdle(ctx context.Context, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		left := timeout
		if i.grpc.working.Load()+i.http.working.Load() == 0 {
			left -= time.Since(time.Unix(0, i.lastDone.Load()))
		}
		if left <= 0 {
			return nil
		}
		timer.Reset(left)
	}
}
