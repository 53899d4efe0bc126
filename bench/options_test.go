package main

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// parse reads a command line as main does.
func parse(t *testing.T, args ...string) (options, error) {
	t.Helper()
	var o options
	k, err := kong.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Parse(args); err != nil {
		return o, err
	}
	return o, o.complete()
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := parse(t)
	if err != nil || o.Rounds != 5 || o.Duration != time.Second || len(o.Servers) != 2 || o.Entries[1] != 10_000_000 {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	o, err = parse(t, "--quick", "--rounds=3", "--workloads=write-*,startup-10k", "--server=x=h:1,2,h:3")
	if err != nil || o.Rounds != 3 || o.Duration != 100*time.Millisecond || o.Server[0] != "x=h:1,2,h:3" {
		t.Errorf("quick: %+v, %v", o, err)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"--workloads=write-1k,nothing": `"nothing" matches none`,
		"--rounds=-1":                  "--rounds=-1",
		"--duration=1us":               "--duration=1µs",
		"--callers=0":                  "--callers=0",
		"--connections=-3":             "--connections=-3",
		"--max_size=0":                 "--max_size=0",
		"--entries=0":                  "--entries=0",
	} {
		if _, err := parse(t, arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", arg, err, want)
		}
	}
}

func TestStartupNames(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{10_000_000: "startup-10m", 10_000: "startup-10k", 123: "startup-123", 1500: "startup-1500"} {
		if got := startupName(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestEveryWorkloadIsItsOwn(t *testing.T) {
	t.Parallel()
	names, spaces := make(map[string]bool), make(map[uint64]bool)
	for _, w := range workloads() {
		if names[w.name] || spaces[w.space] || w.space%(1<<40) != 0 || w.about == "" || w.make == nil {
			t.Errorf("workload %q is not told from the others or lacks something", w.name)
		}
		names[w.name], spaces[w.space] = true, true
	}
}
