package segment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestLock(t *testing.T) {
	t.Parallel()
	o := in(t.TempDir(), small)
	s, err := tryOpen(t, o)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, blobOf(10, 1))
	_, err = tryOpen(t, o)
	wantMessage(t, err, o.Dir, "in use by process "+fmt.Sprint(os.Getpid()))
	wantBlob(t, s, blobOf(10, 1))
	mustClose(t, s)
	wantBlob(t, openStore(t, o), blobOf(10, 1))
}

// What is not a store is refused, and nothing in it is changed.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"somebody's files":           {"report.txt": "mine", "sub": ""},
		"segments without a store":   {"00000001.seg": "?"},
		"another server's directory": {"cas.v2": "", "ac.v2": ""},
	} {
		dir := t.TempDir()
		for name, content := range files {
			writeAll(t, filepath.Join(dir, name), []byte(content))
		}
		_, err := tryOpen(t, in(dir, small))
		wantMessage(t, err, "not empty", metaName)
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != len(files) {
			t.Errorf("%s: %d files became %v, error %v", name, len(files), left, err)
		}
	}
}

// The root of a file system of its own is as good as empty, and so is what a
// crash in the middle of the first start has left.
func TestNearlyEmptyDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeAll(t, filepath.Join(dir, metaName+tempSuffix), []byte("half"))
	writeAll(t, filepath.Join(dir, lockName), nil)
	mustPut(t, openStore(t, in(dir, small)), blobOf(1, 1))
}

func TestMeta(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := tryOpen(t, in(dir, small))
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, blobOf(100, 1))
	mustClose(t, s)
	path := filepath.Join(dir, metaName)
	good := readAll(t, path)
	line := len(good) / 2

	t.Run("any flipped bit", func(t *testing.T) {
		for i := range line {
			bad := bytes.Clone(good)
			bad[i] ^= 1
			if id, err := parseMeta(bad); err != nil || id.key != s.ident.key {
				t.Fatalf("bit of byte %d of %d: %v", i, line, err)
			}
			bad[line+i] ^= 1
			if _, err := parseMeta(bad); err == nil && i < line-1 { // the end of a line says nothing
				t.Fatalf("the same bit of both lines, byte %d, is not seen", i)
			}
		}
	})
	for name, c := range map[string]struct{ content, message string }{
		"newer":     {strings.ReplaceAll(string(good), `"version":1`, `"version":7`), "format version 7 and this program knows up to version 1"},
		"empty":     {"", "damaged"},
		"torn":      {string(good[:line/2]), "damaged"},
		"something": {"hello\n", "damaged"},
		"other":     {strings.ReplaceAll(string(good), metaFormat, "another thing"), `"another thing"`},
	} {
		t.Run(name, func(t *testing.T) {
			writeAll(t, path, []byte(c.content))
			_, err := tryOpen(t, in(dir, small))
			wantMessage(t, err, dir, c.message)
			if !bytes.Equal(readAll(t, path), []byte(c.content)) {
				t.Error("the file was changed")
			}
		})
	}
	writeAll(t, path, good)
	wantBlob(t, openStore(t, in(dir, small)), blobOf(100, 1))
}

func TestSegmentOfANewerVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := tryOpen(t, in(dir, small))
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, blobOf(100, 1))
	mustClose(t, s)
	path := segmentFiles(t, dir)[0]
	b := readAll(t, path)
	head := newHead(s.ident.id, 1, false, minuteZero)
	newer := head.append(nil)
	newer[8] = 9
	newer = appendChecksum(newer[:segmentHeader-4])
	copy(b, newer)
	writeAll(t, path, b)
	_, err = tryOpen(t, in(dir, small))
	wantMessage(t, err, "00000001.seg", "format version", "9")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for message, o := range map[string]Options{
		"no directory":                           {},
		"a size of 1000 bytes":                   {Dir: "x", MaxBytes: 1000},
		"a segment size of 1000 bytes":           {Dir: "x", SegmentBytes: 1000},
		"a segment size of 2147483648":           {Dir: "x", SegmentBytes: 2 << 30},
		"more than a quarter of the store's":     {Dir: "x", MaxBytes: 4 << 20, SegmentBytes: 2 << 20},
		"sync mode 3 is unknown":                 {Dir: "x", Sync: 3},
		"negative setting: minimum lifetime -1s": {Dir: "x", MinTTL: -1e9},
	} {
		_, err := tryOpen(t, o)
		wantMessage(t, err, message)
	}
}

func TestDefaultSegment(t *testing.T) {
	t.Parallel()
	for maxBytes, want := range map[int64]int64{
		0: 256 << 20, MinMaxBytes: 128 << 10, 100 << 20: 4 << 20, 10 << 30: 128 << 20, 20 << 30: 256 << 20, 1 << 42: 256 << 20,
	} {
		if got := defaultSegment(maxBytes); got != want {
			t.Errorf("segments of a store of %d are %d, want %d", maxBytes, got, want)
		}
		o := Options{Dir: "x", MaxBytes: maxBytes}
		if err := o.complete(); err != nil {
			t.Error(err)
		}
		if l := o.limits(); l.maxBlob < l.segmentBytes/2 || l.lowWater < l.segmentBytes {
			t.Errorf("limits of a store of %d are %+v", maxBytes, l)
		}
	}
}

func TestParseSyncMode(t *testing.T) {
	t.Parallel()
	for _, m := range []SyncMode{SyncInterval, SyncAlways, SyncOff} {
		if got, err := ParseSyncMode(m.String()); err != nil || got != m {
			t.Errorf("%v became %v, error %v", m, got, err)
		}
	}
	_, err := ParseSyncMode("sometimes")
	wantMessage(t, err, `"sometimes"`, "interval, always, off")
}

// Metrics are there while the store is open, so that it can be opened again.
func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	o := in(t.TempDir(), small)
	o.Registerer = reg
	for range 2 {
		s, err := tryOpen(t, o)
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, blobOf(100, 1))
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]float64)
		for _, f := range families {
			if g := f.GetMetric()[0].GetGauge(); g != nil {
				got[f.GetName()] = g.GetValue()
			}
			if !strings.HasPrefix(f.GetName(), "larder_segment_") {
				t.Errorf("metric %s", f.GetName())
			}
		}
		if got["larder_segment_blobs"] != 1 || got["larder_segment_stored_bytes"] != 100 || got["larder_segment_max_bytes"] != float64(o.MaxBytes) {
			t.Errorf("gauges are %v", got)
		}
		if _, err := Open(t.Context(), Options{Dir: t.TempDir(), Registerer: reg}); err == nil {
			t.Error("a second store registered the same metrics")
		}
		mustClose(t, s)
	}
	if families, err := reg.Gather(); err != nil || len(families) > 0 {
		t.Errorf("after Close there are %v, error %v", families, err)
	}
}

func TestNoPermission(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		// root may do everything; a file in the place of the directory is refused
		// to it, too.
		path := filepath.Join(t.TempDir(), "file")
		writeAll(t, path, nil)
		_, err := tryOpen(t, Options{Dir: path})
		wantMessage(t, err, path, "not a directory")
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	_, err := tryOpen(t, Options{Dir: dir})
	wantMessage(t, err, dir, "permission denied")
}
