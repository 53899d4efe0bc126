package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/larder-build/larder/server/blobstore/segment"
)

// cmdScrub checks every blob of a store that no server uses.
func cmdScrub(cfg *config, sys system) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if _, err := os.Stat(cfg.Dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("dir %q (%v): there is no store: name one with --dir", cfg.Dir, cfg.origin("dir"))
	}
	log := newLogger(cfg, sys.stderr, max(cfg.logLevel(), slog.LevelError))
	// Without a limit: max_size may be set elsewhere, and a check must not evict.
	store, err := segment.Open(ctx, segment.Options{Dir: cfg.Dir, Logger: log})
	if err != nil {
		return fmt.Errorf("dir (%v): %w", cfg.origin("dir"), err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	start := time.Now()
	report, err := store.Scrub(ctx)
	if err != nil {
		return fmt.Errorf("scrub of %q: %w", cfg.Dir, err)
	}
	return printReport(sys.stdout, report, time.Since(start))
}

// printReport prints what a check found. Damage is an error.
func printReport(w io.Writer, r segment.ScrubReport, took time.Duration) error {
	for _, bad := range r.Bad {
		fmt.Fprintf(w, "damaged: %s at %d: %s: %s\n", bad.Segment, bad.Offset, cmp.Or(bad.Blob, "unknown blob"), bad.Reason)
	}
	if more := r.Dropped - int64(len(r.Bad)); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	fmt.Fprintf(w, "checked %d blobs and action results, %s, in %d segments, in %v\n", r.Records, approxSize(r.Bytes), r.Segments, took.Round(time.Millisecond))
	if r.LostRecords > 0 {
		fmt.Fprintf(w, "%d records were cut off, damaged or unfinished when the store was opened, and are dropped\n", r.LostRecords)
	}
	var damage []error
	if r.LostSegments > 0 {
		damage = append(damage, fmt.Errorf("%d segments could not be read, and are left out: clients will upload their blobs again", r.LostSegments))
	}
	if r.Dropped > 0 {
		damage = append(damage, fmt.Errorf("%d were damaged and are dropped: clients will upload them again", r.Dropped))
	}
	if len(damage) > 0 || r.LostRecords > 0 {
		return errors.Join(damage...)
	}
	_, err := fmt.Fprintln(w, "no damage")
	return err
}
