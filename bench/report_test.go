package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// fakeSeries are rounds of ten operations that cost as much as is said.
func fakeSeries(name string, cpuMillis ...int) series {
	s := series{server: &server{contender: contender{name: name}}, peak: memory{peak: 64 << 20, anonymous: 32 << 20}}
	for _, ms := range cpuMillis {
		r := round{elapsed: time.Second, bytes: 5e6, cpu: time.Duration(ms) * time.Millisecond}
		for i := range 10 {
			r.latencies = append(r.latencies, time.Duration(i+1)*time.Millisecond)
		}
		s.rounds = append(s.rounds, r)
	}
	return s
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	base, other := fakeSeries("floor", 10, 20, 40), fakeSeries("larder", 5, 30, 40)
	got := summarize(other, &base)
	if got.OpsPerSecond != 10 || got.MBPerSecond != 5 || got.P50Micros != 5000 || got.P99Micros != 10000 || got.CPUMicros != 3000 || got.PeakRSS != 64<<20 {
		t.Errorf("figures: %+v", got)
	}
	// Round by round the ratios are 0.5, 1.5 and 1; the ratio of the medians
	// would be 1.5.
	if r := got.Ratio; r == nil || r.CPU != 1 || r.CPULow != 0.5 || r.CPUHigh != 1.5 || r.P99 != 1 || r.PeakRSS != 1 {
		t.Errorf("ratios: %+v", got.Ratio)
	}
	if got := summarize(base, nil); got.Ratio != nil {
		t.Errorf("the baseline has ratios: %+v", got.Ratio)
	}
}

func fakeReport() *report {
	base, other := fakeSeries("floor", 10, 20, 40), fakeSeries("larder", 5, 30, 44)
	return &report{
		Time:     time.Unix(0, 0),
		Machine:  machine{CPU: "some CPU", Cores: 2, Kernel: "6.1", GoVersion: "go1.26", Platform: "linux/amd64", Revision: "abc"},
		Command:  command([]string{"--rounds", "3"}),
		Baseline: "floor",
		Workloads: []workloadReport{
			{Name: "write-1k", Servers: []serverReport{summarize(base, nil), summarize(other, &base)}},
			{Name: "http-get-1k", Servers: []serverReport{summarize(base, nil), {Server: "larder", Skipped: "no HTTP address"}}},
		},
		Startup: []startupReport{{Server: "larder", Entries: 1e6, FirstAnswer: 0.05, Ready: 0.25, RSS: 64 << 20, EmptyRSS: 32 << 20, BytesPerEntry: 33.5, PeakRSS: 64 << 20, StoreBytes: 1 << 30}},
	}
}

const wantText = `workload     server  ops/s                 MB/s  p50              p99              CPU µs/op  CPU ratio (rounds)  peak RSS
write-1k     floor   10                    5.00  5.00 ms          10.0 ms          2,000      1                   64 MiB
             larder  10 (1.00x)            5.00  5.00 ms (1.00x)  10.0 ms (1.00x)  3,000      1.10x (0.50–1.50)   64 MiB (1.00x)
http-get-1k  floor   10                    5.00  5.00 ms          10.0 ms          2,000      1                   64 MiB
             larder  n/a: no HTTP address                                                                         

start-up  entries    first answer  ready   RSS     empty   RSS/entry  peak RSS  store
larder    1,000,000  50.0 ms       250 ms  64 MiB  32 MiB  33.5 B     64 MiB    1.0 GiB

larder: 1.10x the CPU of floor (geometric mean of 1 workloads); above 1.00x: write-1k 1.10x
`

func TestTextReport(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := fakeReport().writeText(&b); err != nil {
		t.Fatal(err)
	}
	if b.String() != wantText {
		t.Errorf("got\n%s\nwant\n%s", b.String(), wantText)
	}
}

func TestMarkdownReport(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := fakeReport().writeMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"    go run ./bench --rounds 3\n",
		"2 cores of some CPU",
		"| write-1k | floor | 10 | 5.00 | 5.00 ms | 10.0 ms | 2,000 | 1 | 64 MiB |\n|  | larder | 10 (1.00x) |",
		"| larder | 1,000,000 | 50.0 ms | 250 ms |",
		"- larder: 1.10x the CPU of floor",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestJSONReport(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := fakeReport().writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Workloads []struct {
			Name    string
			Servers []struct {
				Server string
				CPU    float64            `json:"cpu_us_per_op"`
				Ratio  map[string]float64 `json:"ratio"`
			}
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil {
		t.Fatal(err)
	}
	if s := back.Workloads[0].Servers[1]; s.Server != "larder" || s.CPU != 3000 || s.Ratio["cpu"] != 1.1 {
		t.Errorf("read back %+v", s)
	}
}

func TestDecimals(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0.126: "0.13", 9.99: "9.99", 12.34: "12.3", 99.94: "99.9", 123.5: "124", 12345: "12,345"} {
		if got := decimals(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
