package reapi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/larder-build/larder/server/reapi/codec"
)

func TestBudgetWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10, newMetrics(nil).memoryRefusals)
		if n, err := b.take(t.Context(), 8); n != 8 || err != nil {
			t.Fatal(n, err)
		}
		if b.tryTake(3) {
			t.Fatal("took 11 of 10")
		}
		got := make(chan error)
		go func() {
			_, err := b.take(t.Context(), 3)
			got <- err
		}()
		synctest.Wait()
		b.give(8)
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

func TestBudgetRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10, newMetrics(nil).memoryRefusals)
		if n, err := b.take(t.Context(), 1000); n != 10 || err != nil {
			t.Fatal(n, err, "want the whole budget")
		}
		begin := time.Now()
		_, err := b.take(t.Context(), 1)
		if st := status.Convert(err); st.Code() != codes.ResourceExhausted || len(st.Details()) != 1 || time.Since(begin) != budgetWait {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		if n := testutil.ToFloat64(b.refused); n != 1 {
			t.Errorf("%v refusals counted", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.take(ctx, 1); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("with a deadline: %v", err)
		}
	})
}

func TestBudgetReceive(t *testing.T) {
	t.Parallel()
	b := newBudget(100, newMetrics(nil).memoryRefusals)
	var req codec.Request
	failed := errors.New("cut off")
	if _, err := b.receive(t.Context(), 100, &req, func(any) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	n, err := b.receive(t.Context(), 100, &req, func(v any) error {
		if b.tryTake(1) {
			t.Error("there was room beside a request that is being received")
		}
		*v.(*codec.Request) = *codec.NewRequest(make([]byte, 30))
		return nil
	})
	if n != 30 || err != nil || !b.tryTake(70) || b.tryTake(1) {
		t.Errorf("kept %d of 100, %v", n, err)
	}
	b.give(n)
	var unbounded *budget
	if n, err := unbounded.receive(t.Context(), 1<<40, &req, func(any) error { return nil }); n != 0 || err != nil {
		t.Error(n, err)
	}
	unbounded.give(0)
}
