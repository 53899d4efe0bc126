package segment

import (
	"encoding/binary"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) blobstore.Store { return openStore(b, Options{}) })
}

// fillTiny writes n different blobs of 8 bytes.
func fillTiny(b testing.TB, s *Store, n int) {
	const batch = 4096
	blobs := make([]blobstore.Blob, 0, batch)
	for i := range n {
		c := binary.LittleEndian.AppendUint64(nil, uint64(i))
		blobs = append(blobs, blobstore.Blob{Spec: blobstore.Spec{Key: storetest.CAS(c), Size: 8}, Data: c})
		if len(blobs) == batch || i == n-1 {
			mustPut(b, s, blobs...)
			blobs = blobs[:0]
		}
	}
}

func tinyKeys(n, from int) []blobstore.Key {
	keys := make([]blobstore.Key, n)
	for i := range keys {
		keys[i] = storetest.CAS(binary.LittleEndian.AppendUint64(nil, uint64(from+i*997)))
	}
	return keys
}

// BenchmarkOpen opens a store of 1 M blobs, or as many as LARDER_BENCH_BLOBS
// says, and tells the resident memory of one.
func BenchmarkOpen(b *testing.B) {
	n := 1_000_000
	if v := os.Getenv("LARDER_BENCH_BLOBS"); v != "" {
		n, _ = strconv.Atoi(v)
	}
	o := Options{Dir: b.TempDir(), Sync: SyncOff}
	s, err := tryOpen(b, o)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	fillTiny(b, s, n)
	b.Logf("%d blobs written in %v", n, time.Since(began))
	mustClose(b, s)
	before := residentBytes(b)
	for b.Loop() {
		s, err := tryOpen(b, o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if got := s.Stats().Blobs; got != int64(n) {
			b.Fatalf("%d blobs", got)
		}
		runtime.GC()
		b.ReportMetric(float64(residentBytes(b)-before)/float64(n), "RSS-B/blob")
		mustClose(b, s)
		b.StartTimer()
	}
}

func residentBytes(b testing.TB) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc")
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib << 10
}

func BenchmarkFindMissing(b *testing.B) {
	s := openStore(b, Options{Sync: SyncOff})
	fillTiny(b, s, 1_000_000)
	keys := append(tinyKeys(500, 0), tinyKeys(500, 2_000_000)...)
	b.ReportAllocs()
	for b.Loop() {
		if missing, err := s.FindMissing(b.Context(), keys); err != nil || len(missing) != 500 {
			b.Fatal(len(missing), err)
		}
	}
}

func BenchmarkGet32MiB(b *testing.B) {
	s := openStore(b, Options{})
	blob := blobOf(32<<20, 1)
	mustPut(b, s, blob)
	buf := make([]byte, blobstore.ReadBlock)
	b.SetBytes(32 << 20)
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.Get(b.Context(), blob.Key)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.CopyBuffer(io.Discard, onlyReader{r}, buf); err != nil || n != 32<<20 {
			b.Fatal(n, err)
		}
		r.Close()
	}
}

func BenchmarkWrite32MiB(b *testing.B) {
	s := openStore(b, Options{MaxBytes: 2 << 30})
	blob := blobOf(32<<20, 1)
	b.SetBytes(32 << 20)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		binary.LittleEndian.PutUint64(blob.Data, uint64(i))
		blob.Key = storetest.CAS(blob.Data)
		stream(b, s, blob)
	}
}
