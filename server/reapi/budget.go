package reapi

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"

	"github.com/larder-build/larder/server/reapi/codec"
)

// budgetWait is how long an RPC waits for memory before it is refused.
const budgetWait = 20 * time.Second

// budget bounds the bytes that messages in flight hold. Who needs more than
// there is waits, in order of arrival. An RPC must give back what it holds
// before it takes more, or two could wait for each other.
type budget struct {
	sem  *semaphore.Weighted
	size int64
	// refused counts the RPCs that waited in vain.
	refused prometheus.Counter
}

func newBudget(size int64, refused prometheus.Counter) *budget {
	return &budget{sem: semaphore.NewWeighted(size), size: size, refused: refused}
}

// take waits for n bytes and returns what it took, to be given back: n, or the
// whole budget if that is less.
func (b *budget) take(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.size)
	if b.sem.TryAcquire(n) {
		return n, nil
	}
	waiting, cancel := context.WithTimeout(ctx, budgetWait)
	defer cancel()
	if b.sem.Acquire(waiting, n) == nil {
		return n, nil
	}
	if err := ctx.Err(); err != nil {
		return 0, statusErr(err)
	}
	b.refused.Inc()
	return 0, retryLater(codes.ResourceExhausted, "server has too many bytes in flight: no room for %d more of %d after %v", n, b.size, budgetWait)
}

// tryTake takes n bytes if they are there.
func (b *budget) tryTake(n int64) bool { return b.sem.TryAcquire(n) }

// give gives n bytes back.
func (b *budget) give(n int64) {
	if n > 0 {
		b.sem.Release(n)
	}
}

// receive decodes a request of up to about most bytes when there is room for
// it, and returns what it really takes, to be given back. A nil budget has
// room for everything.
func (b *budget) receive(ctx context.Context, most int64, req *codec.Request, decode func(any) error) (int64, error) {
	if b == nil {
		return 0, decode(req)
	}
	taken, err := b.take(ctx, most)
	if err != nil {
		return 0, err
	}
	if err := decode(req); err != nil {
		b.give(taken)
		return 0, err
	}
	kept := min(taken, int64(req.Len()))
	b.give(taken - kept)
	return kept, nil
}
