package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/dustin/go-humanize"
)

const fillPackage = "github.com/larder-build/larder/bench/fill"

// startupReport is how one server starts over a full store.
type startupReport struct {
	Server  string `json:"server"`
	Entries int    `json:"entries"`
	// FirstAnswer is the time from the start of the process until it has
	// answered a call, Ready until it has named all of 1,000 stored blobs as
	// present. Medians of the rounds, in seconds.
	FirstAnswer float64 `json:"first_answer_seconds"`
	Ready       float64 `json:"ready_seconds"`
	// RSS is the resident memory when it is ready, EmptyRSS that of the server
	// over an empty store, both in bytes.
	RSS           int64   `json:"rss_bytes"`
	EmptyRSS      int64   `json:"empty_rss_bytes"`
	PeakRSS       int64   `json:"peak_rss_bytes"`
	BytesPerEntry float64 `json:"rss_bytes_per_entry"`
	// StoreBytes is what the store's files hold.
	StoreBytes int64 `json:"store_bytes"`
}

var startupHeader = []string{"start-up", "entries", "first answer", "ready", "RSS", "empty", "RSS/entry", "peak RSS", "store"}

func (r *report) startupRows() [][]string {
	var out [][]string
	for _, s := range r.Startup {
		out = append(out, []string{
			s.Server, humanize.Comma(int64(s.Entries)), duration(s.FirstAnswer * 1e6), duration(s.Ready * 1e6),
			humanize.IBytes(uint64(s.RSS)), humanize.IBytes(uint64(s.EmptyRSS)), decimals(s.BytesPerEntry) + " B",
			humanize.IBytes(uint64(s.PeakRSS)), humanize.IBytes(uint64(s.StoreBytes)),
		})
	}
	return out
}

// startup is the measurement of start-ups.
type startup struct {
	launcher *launcher
	fill     string // program
	rounds   int
}

// started is one start.
type started struct {
	first, ready time.Duration
	memory       memory
}

// measure fills a store and starts the server over it a few times.
func (s *startup) measure(ctx context.Context, c contender, entries int) (startupReport, error) {
	s = s.roomFor(entries)
	base, err := os.MkdirTemp(s.launcher.dir, "startup-")
	if err != nil {
		return startupReport{}, err
	}
	defer os.RemoveAll(base)
	empty, err := s.start(ctx, c, filepath.Join(base, "empty"), nil)
	if err != nil {
		return startupReport{}, err
	}
	dir := filepath.Join(base, "full")
	sample, err := s.fillStore(ctx, filepath.Join(dir, "store"), entries)
	if err != nil {
		return startupReport{}, err
	}
	out := startupReport{Server: c.name, Entries: entries, EmptyRSS: empty.memory.now}
	if out.StoreBytes, err = sizeOfTree(dir); err != nil {
		return startupReport{}, err
	}
	var first, ready []float64
	for range s.rounds {
		got, err := s.start(ctx, c, dir, sample)
		if err != nil {
			return startupReport{}, err
		}
		first, ready = append(first, got.first.Seconds()), append(ready, got.ready.Seconds())
		out.RSS, out.PeakRSS = got.memory.now, got.memory.peak
	}
	out.FirstAnswer, out.Ready = median(first), median(ready)
	out.BytesPerEntry = float64(out.RSS-out.EmptyRSS) / float64(entries)
	return out, nil
}

// roomFor returns a start-up whose servers may keep that many small blobs.
func (s *startup) roomFor(entries int) *startup {
	l := *s.launcher
	l.maxSizeGiB = max(l.maxSizeGiB, 1+float64(entries)/(1<<20))
	return &startup{launcher: &l, fill: s.fill, rounds: s.rounds}
}

// fillStore runs the program that fills a store and returns the digests of
// some of its blobs.
func (s *startup) fillStore(ctx context.Context, dir string, entries int) ([]*repb.Digest, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, s.fill, "--dir", dir, "--count", strconv.Itoa(entries))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("fill a store with %d blobs: %w", entries, err)
	}
	return parseSample(string(text))
}

// parseSample reads lines of hash/size.
func parseSample(text string) ([]*repb.Digest, error) {
	var out []*repb.Digest
	for line := range strings.Lines(text) {
		hash, size, _ := strings.Cut(strings.TrimSpace(line), "/")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %q is no hash/size", line)
		}
		out = append(out, &repb.Digest{Hash: hash, SizeBytes: n})
	}
	return out, nil
}

// start starts the server over dir, asks it for the sample, and stops it.
func (s *startup) start(ctx context.Context, c contender, dir string, sample []*repb.Digest) (out started, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return started{}, err
	}
	begin := time.Now()
	server, err := s.launcher.spawn(ctx, c, dir)
	if err != nil {
		return started{}, err
	}
	defer func() {
		if cerr := server.end(); err == nil {
			err = cerr
		}
	}()
	if err := s.launcher.wait(ctx, server); err != nil {
		return started{}, err
	}
	out.first = time.Since(begin)
	cas := repb.NewContentAddressableStorageClient(server.conns[0])
	resp, err := cas.FindMissingBlobs(ctx, &repb.FindMissingBlobsRequest{BlobDigests: sample, DigestFunction: repb.DigestFunction_SHA256})
	if err != nil {
		return started{}, fmt.Errorf("server %s over a full store: %w", c.name, err)
	}
	if n := len(resp.MissingBlobDigests); n > 0 {
		return started{}, fmt.Errorf("server %s lacks %d of %d stored blobs after its start%s", c.name, n, len(sample), server.tail())
	}
	out.ready = time.Since(begin)
	out.memory, err = memoryOf(server.pid)
	return out, err
}

// sizeOfTree sums the sizes of the files below dir.
func sizeOfTree(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	return total, err
}
