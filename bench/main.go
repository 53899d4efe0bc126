package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	var o options
	kong.Parse(&o, kong.Name("bench"), kong.Description("Measure build cache servers side by side."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run does what the options ask for, prints the report to out and what it is
// doing to progress.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	if err := o.complete(); err != nil {
		return err
	}
	if o.List {
		return list(&o, out)
	}
	dir, err := os.MkdirTemp(o.Scratch, "larder-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newSession(ctx, o, dir, progress)
	if err != nil {
		return err
	}
	if err := s.runAll(ctx); err != nil {
		return err
	}
	return s.save(out)
}

func list(o *options, out io.Writer) error {
	var rows [][]string
	for _, w := range workloads() {
		rows = append(rows, []string{w.name, w.about})
	}
	for _, n := range o.Entries {
		rows = append(rows, []string{startupName(n), fmt.Sprintf("start larder over %d blobs", n)})
	}
	return alignText(out, []string{"workload", "one operation"}, rows)
}
