package main

import (
	"fmt"
	"time"
)

// options is the command line. Zero stands for a default that --quick changes.
type options struct {
	Servers     []string      `name:"servers" default:"floor,larder" help:"Servers to build, start and compare: floor and larder, the baseline first. A name given twice is compared with itself."`
	Server      []string      `name:"server" sep:"none" placeholder:"NAME=GRPC_ADDRESS,PID[,HTTP_ADDRESS]" help:"Also compare a server that runs already. May be repeated."`
	Variant     []string      `name:"variant" sep:"none" placeholder:"NAME=[PROGRAM] FLAGS" help:"Also compare larder with more flags, or another program that takes its flags. May be repeated."`
	Workloads   []string      `name:"workloads" placeholder:"PATTERN,..." help:"Only the workloads that match: names of --list, with * and ?."`
	List        bool          `name:"list" help:"List the workloads and end."`
	Rounds      int           `name:"rounds" placeholder:"N" help:"Rounds of every workload. Default 5; 2 with --quick."`
	Duration    time.Duration `name:"duration" placeholder:"TIME" help:"Time of a round of the baseline. Default 1s; 100ms with --quick."`
	Entries     []int         `name:"entries" placeholder:"N,..." help:"Blobs in the stores whose start-up is measured. Default 1000000,10000000; 10000 with --quick."`
	Quick       bool          `name:"quick" help:"Short and rough."`
	Callers     int           `name:"callers" default:"8" help:"Calls under way at a time; a quarter of it where one moves 32 MiB."`
	Connections int           `name:"connections" default:"1" help:"gRPC connections the callers share."`
	MaxSize     float64       `name:"max_size" default:"2" placeholder:"GIB" help:"Capacity of every server that is started."`
	Seed        uint64        `name:"seed" default:"1" help:"Where the content comes from. A server that keeps blobs between two runs wants another each time."`
	Scratch     string        `name:"scratch" type:"path" placeholder:"DIR" help:"Where the servers' stores go. Default: the system's directory for temporary files."`
	JSON        string        `name:"json" type:"path" placeholder:"FILE" help:"Write all figures to a file."`
	Markdown    string        `name:"markdown" type:"path" placeholder:"FILE" help:"Write the report to a file, as for bench/reports."`
	Profile     string        `name:"profile" type:"path" placeholder:"DIR" help:"Also take a CPU profile of every server and workload, after the measurement."`
}

// complete fills in the defaults and refuses what makes no sense.
func (o *options) complete() error {
	rounds, duration, entries := 5, time.Second, []int{1_000_000, 10_000_000}
	if o.Quick {
		rounds, duration, entries = 2, 100*time.Millisecond, []int{10_000}
	}
	if o.Rounds == 0 {
		o.Rounds = rounds
	}
	if o.Duration == 0 {
		o.Duration = duration
	}
	if len(o.Entries) == 0 {
		o.Entries = entries
	}
	for _, c := range []struct {
		flag string
		bad  bool
		got  any
	}{
		{"rounds", o.Rounds < 1, o.Rounds},
		{"duration", o.Duration < time.Millisecond, o.Duration},
		{"callers", o.Callers < 1, o.Callers},
		{"connections", o.Connections < 1, o.Connections},
		{"max_size", o.MaxSize <= 0, o.MaxSize},
	} {
		if c.bad {
			return fmt.Errorf("--%s=%v: too small", c.flag, c.got)
		}
	}
	for _, n := range o.Entries {
		if n < 1 {
			return fmt.Errorf("--entries=%d: too small", n)
		}
	}
	return checkPatterns(o.Workloads, o.names())
}

// names returns the names of all workloads, those of the start-ups last.
func (o *options) names() []string {
	var out []string
	for _, w := range workloads() {
		out = append(out, w.name)
	}
	for _, n := range o.Entries {
		out = append(out, startupName(n))
	}
	return out
}

// startupName is how a start-up is named among the workloads.
func startupName(entries int) string {
	switch {
	case entries%1_000_000 == 0:
		return fmt.Sprintf("startup-%dm", entries/1_000_000)
	case entries%1_000 == 0:
		return fmt.Sprintf("startup-%dk", entries/1_000)
	}
	return fmt.Sprintf("startup-%d", entries)
}
