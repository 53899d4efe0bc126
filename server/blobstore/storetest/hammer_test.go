package storetest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flawed is a store that does one thing wrong now and then.
type flawed struct {
	*memory.Store
	get     func(blobstore.Key, blobstore.Reader) (blobstore.Reader, error)
	put     func([]blobstore.Blob, []error)
	missing func([]blobstore.Key, []int) []int
}

func (f *flawed) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	r, err := f.Store.Get(ctx, key)
	if err == nil && f.get != nil {
		return f.get(key, r)
	}
	return r, err
}

func (f *flawed) Put(ctx context.Context, blobs []blobstore.Blob) []error {
	errs := f.Store.Put(ctx, blobs)
	if f.put != nil {
		f.put(blobs, errs)
	}
	return errs
}

func (f *flawed) FindMissing(ctx context.Context, keys []blobstore.Key) ([]int, error) {
	missing, err := f.Store.FindMissing(ctx, keys)
	if err == nil && f.missing != nil {
		missing = f.missing(keys, missing)
	}
	return missing, err
}

// flip reads with one bit wrong.
type flip struct{ blobstore.Reader }

func (f flip) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if n > 20 {
		p[20] ^= 1
	}
	return n, err
}

// TestHistory proves that a load finds what a store may do wrong.
func TestHistory(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	isCAS := func(k blobstore.Key) bool { return k.Kind == blobstore.CAS }
	tests := []struct {
		name  string
		flaw  flawed
		opts  storetest.Options
		wants string // part of the error; none if it is empty
	}{
		{name: "nothing wrong"},
		{name: "another seed", opts: storetest.Options{Seed: 7}},
		{name: "wrong byte in the CAS", wants: "wrong content", flaw: flawed{
			get: func(k blobstore.Key, r blobstore.Reader) (blobstore.Reader, error) {
				if isCAS(k) && r.Encoding() == blobstore.Identity {
					return flip{r}, nil
				}
				return r, nil
			}}},
		{name: "wrong byte in an action result", wants: "wrong content", flaw: flawed{
			get: func(k blobstore.Key, r blobstore.Reader) (blobstore.Reader, error) {
				if !isCAS(k) && r.Encoding() == blobstore.Identity {
					return flip{r}, nil
				}
				return r, nil
			}}},
		{name: "loses what it acknowledged", wants: "was acknowledged: blob not found", flaw: flawed{
			get: func(blobstore.Key, blobstore.Reader) (blobstore.Reader, error) { return nil, blobstore.ErrNotFound }}},
		{name: "may lose what it acknowledged", opts: storetest.Options{MayForget: true}, flaw: flawed{
			get: func(blobstore.Key, blobstore.Reader) (blobstore.Reader, error) { return nil, blobstore.ErrNotFound }}},
		{name: "fails", wants: "broken", flaw: flawed{
			get: func(blobstore.Key, blobstore.Reader) (blobstore.Reader, error) { return nil, broken }}},
		{name: "fails as if the load had ended", wants: "context canceled", flaw: flawed{
			get: func(blobstore.Key, blobstore.Reader) (blobstore.Reader, error) { return nil, context.Canceled }}},
		{name: "acknowledges wrong content", wants: "wrong content was acknowledged", flaw: flawed{
			put: func(_ []blobstore.Blob, errs []error) { clear(errs) }}},
		{name: "blames the server for wrong content", wants: "not refused as such", flaw: flawed{
			put: func(_ []blobstore.Blob, errs []error) {
				for i := range errs {
					if errs[i] != nil {
						errs[i] = broken
					}
				}
			}}},
		{name: "names present blobs as missing", wants: "is said to be missing", flaw: flawed{
			missing: func(keys []blobstore.Key, _ []int) (all []int) {
				for i := range keys {
					all = append(all, i)
				}
				return all
			}}},
		{name: "names absent blobs as present", wants: "is said to be there", flaw: flawed{
			missing: func([]blobstore.Key, []int) []int { return nil }}},
		{name: "names missing blobs in no order", wants: "not ascending", flaw: flawed{
			missing: func(_ []blobstore.Key, missing []int) []int {
				if len(missing) > 1 {
					missing[0], missing[1] = missing[1], missing[0]
				}
				return missing
			}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.flaw
			s.Store = memory.New(memory.Options{})
			tt.opts.Operations, tt.opts.MaxBlobBytes = 80, 64<<10
			h := storetest.NewHistory(tt.opts)
			err := h.Run(t.Context(), &s)
			if err == nil {
				err = h.Check(t.Context(), &s)
			}
			if tt.wants == "" {
				if err != nil {
					t.Error(err)
				}
				if n := h.Acknowledged(); n < 100 {
					t.Errorf("%d acknowledged, the load did next to nothing", n)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.wants) {
				t.Errorf("error %v, want one with %q", err, tt.wants)
			}
		})
	}
}

// stale is a store whose action results do not change once they are there.
type stale struct{ *memory.Store }

func (s stale) Create(ctx context.Context, spec blobstore.Spec) (blobstore.Writer, error) {
	missing, err := s.FindMissing(ctx, []blobstore.Key{spec.Key})
	if spec.Key.Kind == blobstore.AC && err == nil && len(missing) == 0 {
		return nothing{io.Discard}, nil
	}
	return s.Store.Create(ctx, spec)
}

// nothing is a writer that keeps nothing.
type nothing struct{ io.Writer }

func (nothing) Commit() error { return nil }
func (nothing) Abort()        {}

func TestHistoryFindsStaleResults(t *testing.T) {
	t.Parallel()
	h := storetest.NewHistory(storetest.Options{Actions: 3})
	err := h.Run(t.Context(), stale{memory.New(memory.Options{})})
	if err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("error %v, want one about versions", err)
	}
}

// A history outlives the store: what was acknowledged is to be in the next.
func TestHistoryOverRestart(t *testing.T) {
	t.Parallel()
	h := storetest.NewHistory(storetest.Options{Operations: 50})
	s := memory.New(memory.Options{})
	for range 3 {
		if err := h.Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Check(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := h.Check(t.Context(), memory.New(memory.Options{})); err == nil {
		t.Error("an empty store passes")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Run(ended, s); err != nil {
		t.Errorf("a load that was ended: %v", err)
	}
}
