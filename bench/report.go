package main

import (
	"math"
	"slices"
	"time"
)

// report is all a run of bench has found out; its JSON is what --json writes.
// Ratios are to the first server of the run, round by round, and their median.
type report struct {
	Time      time.Time        `json:"time"`
	Machine   machine          `json:"machine"`
	Command   []string         `json:"command"`
	Baseline  string           `json:"baseline"`
	Workloads []workloadReport `json:"workloads"`
	Startup   []startupReport  `json:"startup,omitempty"`
}

type workloadReport struct {
	Name        string         `json:"name"`
	About       string         `json:"about"`
	Callers     int            `json:"callers"`
	Rounds      int            `json:"rounds"`
	OpsPerRound int            `json:"ops_per_round"`
	Servers     []serverReport `json:"servers"`
}

// serverReport is one server's figures for one workload.
type serverReport struct {
	Server string `json:"server"`
	// Skipped says why there are no figures.
	Skipped      string  `json:"skipped,omitempty"`
	OpsPerSecond float64 `json:"ops_per_second"`
	MBPerSecond  float64 `json:"mb_per_second"` // of content as sent, 10^6 bytes
	P50Micros    float64 `json:"p50_us"`
	P99Micros    float64 `json:"p99_us"`
	CPUMicros    float64 `json:"cpu_us_per_op"`
	// PeakRSS counts pages of mapped files, AnonymousRSS is the process's own
	// memory at the end. Both in bytes.
	PeakRSS      int64   `json:"peak_rss_bytes"`
	AnonymousRSS int64   `json:"anonymous_rss_bytes"`
	Ratio        *ratios `json:"ratio,omitempty"`
}

// ratios are a server's figures over the baseline's.
type ratios struct {
	OpsPerSecond float64 `json:"ops_per_second"`
	P50          float64 `json:"p50"`
	P99          float64 `json:"p99"`
	CPU          float64 `json:"cpu"`
	// CPULow and CPUHigh are the least and the greatest of the rounds.
	CPULow  float64 `json:"cpu_low"`
	CPUHigh float64 `json:"cpu_high"`
	PeakRSS float64 `json:"peak_rss"`
}

func (r round) opsPerSecond() float64 {
	return float64(len(r.latencies)) / r.elapsed.Seconds()
}

func (r round) cpuPerOp() float64 {
	return micros(r.cpu) / float64(len(r.latencies))
}

func (r round) p50() float64 { return micros(quantile(r.latencies, 0.50)) }
func (r round) p99() float64 { return micros(quantile(r.latencies, 0.99)) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// summarize turns a server's rounds into its figures. Base is the series of
// the first server, nil for that itself.
func summarize(s series, base *series) serverReport {
	var all []time.Duration
	for _, r := range s.rounds {
		all = append(all, r.latencies...)
	}
	slices.Sort(all)
	out := serverReport{
		Server:       s.server.contender.name,
		OpsPerSecond: medianOf(s.rounds, round.opsPerSecond),
		MBPerSecond:  medianOf(s.rounds, func(r round) float64 { return float64(r.bytes) / 1e6 / r.elapsed.Seconds() }),
		P50Micros:    micros(quantile(all, 0.50)),
		P99Micros:    micros(quantile(all, 0.99)),
		CPUMicros:    medianOf(s.rounds, round.cpuPerOp),
		PeakRSS:      s.peak.peak,
		AnonymousRSS: s.peak.anonymous,
	}
	if base != nil {
		out.Ratio = compare(s, *base)
	}
	return out
}

func compare(s, base series) *ratios {
	cpu := ratiosOf(s, base, round.cpuPerOp)
	return &ratios{
		OpsPerSecond: median(ratiosOf(s, base, round.opsPerSecond)),
		P50:          median(ratiosOf(s, base, round.p50)),
		P99:          median(ratiosOf(s, base, round.p99)),
		CPU:          median(cpu),
		CPULow:       slices.Min(cpu),
		CPUHigh:      slices.Max(cpu),
		PeakRSS:      float64(s.peak.peak) / math.Max(float64(base.peak.peak), 1),
	}
}

func medianOf(rounds []round, figure func(round) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = figure(r)
	}
	return median(values)
}

func ratiosOf(s, base series, figure func(round) float64) []float64 {
	values := make([]float64, len(s.rounds))
	for i := range s.rounds {
		values[i] = figure(s.rounds[i]) / figure(base.rounds[i])
	}
	return values
}

// cpuRatios returns the CPU ratios of a server by workload.
func (r *report) cpuRatios(server string) map[string]float64 {
	out := make(map[string]float64)
	for _, w := range r.Workloads {
		for _, s := range w.Servers {
			if s.Server == server && s.Ratio != nil {
				out[w.Name] = s.Ratio.CPU
			}
		}
	}
	return out
}

// compared returns the names of the servers that have ratios, in order.
func (r *report) compared() []string {
	var out []string
	for _, w := range r.Workloads {
		for _, s := range w.Servers {
			if s.Ratio != nil && !slices.Contains(out, s.Server) {
				out = append(out, s.Server)
			}
		}
	}
	return out
}
