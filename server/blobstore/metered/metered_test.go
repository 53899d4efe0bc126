package metered_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/blobstore/metered"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) blobstore.Store {
		return metered.New(memory.New(memory.Options{}), prometheus.NewPedanticRegistry())
	})
}

// broken is a store whose verbs fail, and which is no Remover.
type broken struct{ err error }

func (b broken) Get(context.Context, blobstore.Key) (blobstore.Reader, error) { return nil, b.err }
func (b broken) FindMissing(context.Context, []blobstore.Key) ([]int, error)  { return nil, b.err }
func (b broken) Create(context.Context, blobstore.Spec) (blobstore.Writer, error) {
	return nil, b.err
}

func (b broken) Put(_ context.Context, blobs []blobstore.Blob) []error {
	errs := make([]error, len(blobs))
	for i := range errs {
		errs[i] = b.err
	}
	return errs
}

func casBlob(size int, seed uint64) blobstore.Blob {
	c := storetest.Content(size, seed)
	return blobstore.Blob{Spec: blobstore.Spec{Key: storetest.CAS(c), Size: int64(size)}, Data: c}
}

func acBlob(name, content string) blobstore.Blob {
	return blobstore.Blob{Spec: blobstore.Spec{Key: storetest.AC("", name), Size: int64(len(content))}, Data: []byte(content)}
}

func TestNew(t *testing.T) {
	t.Parallel()
	zeros := make([]byte, 1<<20)
	zstd := encoding.AppendCompressed(nil, zeros)
	tests := []struct {
		name string
		// store is memory if nil.
		store blobstore.Store
		use   func(t *testing.T, s *metered.Store)
		want  string // the lines that are not 0
	}{
		{name: "put and read", use: func(t *testing.T, s *metered.Store) {
			b := casBlob(1000, 1)
			check(t, s.Put(t.Context(), []blobstore.Blob{b, casBlob(500, 2), acBlob("a", "result")})...)
			r, err := s.Get(t.Context(), b.Key)
			check(t, err)
			defer r.Close()
			check(t, r.SeekTo(600))
			_, err = io.Copy(io.Discard, r)
			check(t, err)
		}, want: `
			larder_store_blobs_written_total{kind="ac"} 1
			larder_store_blobs_written_total{kind="cas"} 2
			larder_store_lookups_total{kind="cas",result="hit",verb="get"} 1
			larder_store_read_bytes_total{kind="cas"} 400
			larder_store_written_bytes_total{kind="ac"} 6
			larder_store_written_bytes_total{kind="cas"} 1500`},
		{name: "compressed bytes are counted as they are", use: func(t *testing.T, s *metered.Store) {
			spec := blobstore.Spec{Key: storetest.CAS(zeros), Size: 1 << 20, Encoding: blobstore.Zstd}
			write(t, s, blobstore.Blob{Spec: spec, Data: zstd})
		}, want: fmt.Sprintf(`
			larder_store_blobs_written_total{kind="cas"} 1
			larder_store_written_bytes_total{kind="cas"} %d`, len(zstd))},
		{name: "misses and hits", use: func(t *testing.T, s *metered.Store) {
			ac := acBlob("a", "result")
			write(t, s, ac)
			keys := []blobstore.Key{ac.Key, storetest.AC("", "b"), storetest.AC("", "c"), casBlob(5, 1).Key}
			_, err := s.FindMissing(t.Context(), keys)
			check(t, err)
			for _, key := range keys[1:] {
				if _, err := s.Get(t.Context(), key); !errors.Is(err, blobstore.ErrNotFound) {
					t.Error(err)
				}
			}
		}, want: `
			larder_store_blobs_written_total{kind="ac"} 1
			larder_store_lookups_total{kind="ac",result="hit",verb="find_missing"} 1
			larder_store_lookups_total{kind="ac",result="miss",verb="find_missing"} 2
			larder_store_lookups_total{kind="ac",result="miss",verb="get"} 2
			larder_store_lookups_total{kind="cas",result="miss",verb="find_missing"} 1
			larder_store_lookups_total{kind="cas",result="miss",verb="get"} 1
			larder_store_written_bytes_total{kind="ac"} 6`},
		{name: "aborted and refused writes", use: func(t *testing.T, s *metered.Store) {
			b := casBlob(1000, 1)
			w, err := s.Create(t.Context(), b.Spec)
			check(t, err)
			_, err = w.Write(b.Data)
			check(t, err)
			w.Abort()
			b.Data = append(b.Data, 'x')
			if err := s.Put(t.Context(), []blobstore.Blob{b})[0]; !errors.Is(err, blobstore.ErrMismatch) {
				t.Error(err)
			}
			w, err = s.Create(t.Context(), b.Spec)
			check(t, err)
			for range 2 { // it fails twice, and is one failure
				if _, err := w.Write(b.Data); !errors.Is(err, blobstore.ErrMismatch) {
					t.Error(err)
				}
			}
			if w.Commit() == nil {
				t.Error("Commit after a failed Write")
			}
		}, want: `
			larder_store_errors_total{reason="mismatch",verb="put"} 1
			larder_store_errors_total{reason="mismatch",verb="write"} 1`},
		{name: "failures", store: broken{blobstore.ErrClosed}, use: func(t *testing.T, s *metered.Store) {
			b := casBlob(1000, 1)
			_, err := s.Get(t.Context(), b.Key)
			wantError(t, err, blobstore.ErrUnavailable)
			_, err = s.FindMissing(t.Context(), []blobstore.Key{b.Key})
			wantError(t, err, blobstore.ErrUnavailable)
			_, err = s.Create(t.Context(), b.Spec)
			wantError(t, err, blobstore.ErrUnavailable)
			for _, err := range s.Put(t.Context(), []blobstore.Blob{b, b}) {
				wantError(t, err, blobstore.ErrUnavailable)
			}
			wantError(t, s.Remove(t.Context(), b.Key), errors.ErrUnsupported)
		}, want: `
			larder_store_errors_total{reason="unavailable",verb="find_missing"} 1
			larder_store_errors_total{reason="unavailable",verb="get"} 1
			larder_store_errors_total{reason="unavailable",verb="put"} 2
			larder_store_errors_total{reason="unavailable",verb="write"} 1`},
		{name: "a read that is cut off", use: func(t *testing.T, s *metered.Store) {
			b := casBlob(1000, 1)
			check(t, s.Put(t.Context(), []blobstore.Blob{b})...)
			ctx, cancel := context.WithCancel(t.Context())
			r, err := s.Get(ctx, b.Key)
			check(t, err)
			defer r.Close()
			cancel()
			_, err = r.Read(make([]byte, 10))
			wantError(t, err, context.Canceled)
		}, want: `
			larder_store_blobs_written_total{kind="cas"} 1
			larder_store_errors_total{reason="canceled",verb="read"} 1
			larder_store_lookups_total{kind="cas",result="hit",verb="get"} 1
			larder_store_written_bytes_total{kind="cas"} 1000`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inner := tt.store
			if inner == nil {
				inner = memory.New(memory.Options{})
			}
			reg := prometheus.NewPedanticRegistry()
			tt.use(t, metered.New(inner, reg))
			want := strings.ReplaceAll(strings.TrimSpace(tt.want), "\t", "")
			if got := counters(t, reg); got != want {
				t.Errorf("counters:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestNewWithoutRegisterer(t *testing.T) {
	t.Parallel()
	write(t, metered.New(memory.New(memory.Options{}), nil), casBlob(10, 1))
}

// counters returns the lines of all counters that are not 0.
func counters(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	problems, err := testutil.GatherAndLint(reg)
	check(t, err)
	if len(problems) > 0 {
		t.Errorf("lint: %v", problems)
	}
	families, err := reg.Gather()
	check(t, err)
	var lines []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			if v := m.GetCounter().GetValue(); v != 0 {
				lines = append(lines, fmt.Sprintf("%s{%s} %v", f.GetName(), strings.Join(labels, ","), v))
			}
		}
	}
	return strings.Join(lines, "\n")
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func write(t *testing.T, s blobstore.Store, b blobstore.Blob) {
	t.Helper()
	w, err := s.Create(t.Context(), b.Spec)
	check(t, err)
	defer w.Abort()
	_, err = w.Write(b.Data)
	check(t, err)
	check(t, w.Commit())
}
