package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSmoke runs the whole of bench, with rounds too short to mean anything,
// against the servers as they are built from this tree.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts servers")
	}
	for _, tt := range []struct{ servers, workloads []string }{
		{[]string{"floor", "larder"}, nil},
		{[]string{"floor", "floor"}, []string{"write-1k", "http-get-1k", "replay-*"}},
	} {
		t.Run(strings.Join(tt.servers, "-"), func(t *testing.T) {
			o := options{
				Servers: tt.servers, Workloads: tt.workloads, Rounds: 1, Duration: 5 * time.Millisecond, Entries: []int{5000}, Callers: 4, Connections: 2,
				MaxSize: 1, Seed: 1, Scratch: t.TempDir(), JSON: filepath.Join(t.TempDir(), "report.json"),
			}
			if err := run(t.Context(), o, io.Discard, t.Output()); err != nil {
				t.Fatal(err)
			}
			checkReport(t, o, tt.servers[1] == "larder")
			if left, err := os.ReadDir(o.Scratch); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func checkReport(t *testing.T, o options, startup bool) {
	t.Helper()
	text, err := os.ReadFile(o.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, w := range workloads() {
		if chosen(o.Workloads, w.name) {
			want++
		}
	}
	if len(r.Workloads) != want {
		t.Errorf("%d workloads of %d", len(r.Workloads), want)
	}
	for _, w := range r.Workloads {
		for _, s := range w.Servers {
			if s.Skipped != "" || s.OpsPerSecond <= 0 || s.CPUMicros <= 0 || s.P99Micros < s.P50Micros || s.PeakRSS <= 0 {
				t.Errorf("%s: %+v", w.Name, s)
			}
		}
		if len(w.Servers) != 2 || w.Servers[0].Ratio != nil || w.Servers[1].Ratio == nil {
			t.Errorf("%s: no ratio of the second server to the first", w.Name)
		}
	}
	if !startup {
		return
	}
	if len(r.Startup) != 1 || r.Startup[0].Ready < r.Startup[0].FirstAnswer || r.Startup[0].RSS <= 0 {
		t.Errorf("start-up: %+v", r.Startup)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	l := &launcher{dir: t.TempDir(), maxSizeGiB: 1, connections: 1, callers: 1}
	script := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho the reason; exit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := l.start(t.Context(), contender{name: "broken", program: script})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("got %v", err)
	}
	if _, err := l.start(t.Context(), contender{name: "gone", grpcAddress: "127.0.0.1:1", pid: 1 << 28}); err == nil {
		t.Error("attached to a process that cannot be")
	}
}
