package segment

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// SyncMode says what is durable, that is, survives a power failure. A crash of
// the process alone loses nothing that was acknowledged in any mode.
type SyncMode uint8

const (
	// SyncInterval makes durable, every Options.SyncInterval, what was
	// acknowledged until then.
	SyncInterval SyncMode = iota
	// SyncAlways acknowledges only what is durable. Concurrent writers share
	// a sync.
	SyncAlways
	// SyncOff leaves it to the operating system.
	SyncOff
)

func (m SyncMode) String() string {
	switch m {
	case SyncInterval:
		return "interval"
	case SyncAlways:
		return "always"
	case SyncOff:
		return "off"
	}
	return fmt.Sprintf("sync mode %d", uint8(m))
}

// ParseSyncMode is the inverse of String.
func ParseSyncMode(s string) (SyncMode, error) {
	for m := SyncInterval; m <= SyncOff; m++ {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("sync mode %q is not one of interval, always, off", s)
}

// syncer makes files durable, many writers' at once.
type syncer struct {
	fds     *fdCache
	fsys    files
	observe func(time.Duration, error)

	mu    sync.Mutex
	dirty map[*segment]struct{}
	names bool   // files were created since the directory was synced
	next  *round // what those that wait now wait for
	wake  chan struct{}
}

// round is one sync of everything dirty.
type round struct {
	done chan struct{}
	err  error
}

func newSyncer(fsys files, fds *fdCache, observe func(time.Duration, error)) *syncer {
	return &syncer{
		fsys: fsys, fds: fds, observe: observe,
		dirty: make(map[*segment]struct{}), wake: make(chan struct{}, 1),
	}
}

// created notes that a file has a name that is not durable yet.
func (y *syncer) created() {
	y.mu.Lock()
	y.names = true
	y.mu.Unlock()
}

// mark notes that the segment was written to.
func (y *syncer) mark(seg *segment) {
	y.mu.Lock()
	y.dirty[seg] = struct{}{}
	y.mu.Unlock()
}

// wait returns when all that was marked before is durable.
func (y *syncer) wait() error {
	y.mu.Lock()
	if y.next == nil {
		y.next = &round{done: make(chan struct{})}
	}
	r := y.next
	y.mu.Unlock()
	select {
	case y.wake <- struct{}{}:
	default:
	}
	<-r.done
	return r.err
}

// flush makes everything durable and lets those go that waited for it.
func (y *syncer) flush() error {
	y.mu.Lock()
	dirty, names, r := y.dirty, y.names, y.next
	y.dirty, y.names, y.next = make(map[*segment]struct{}), false, nil
	y.mu.Unlock()
	var errs []error
	for seg := range dirty {
		errs = append(errs, y.now(seg))
	}
	if names {
		errs = append(errs, y.syncNames())
	}
	err := errors.Join(errs...)
	if r != nil {
		r.err = err
		close(r.done)
	}
	return err
}

func (y *syncer) syncNames() error {
	err := y.fsys.sync()
	if err != nil {
		y.created()
	}
	return err
}

// now makes one segment durable. A segment that was evicted meanwhile needs it
// no more.
func (y *syncer) now(seg *segment) error {
	if err := seg.acquire(y.fds); err != nil {
		if errors.Is(err, errGone) {
			return nil
		}
		return err
	}
	defer seg.release(y.fds)
	began := time.Now()
	err := seg.f.datasync()
	y.observe(time.Since(began), err)
	return err
}

// markDirty notes that the segment has content that is not durable.
func (s *Store) markDirty(seg *segment) {
	if s.opts.Sync != SyncOff {
		s.syncer.mark(seg)
	}
}

// runSyncer syncs at every interval, or as soon as somebody waits for it.
func (s *Store) runSyncer() {
	tick := time.NewTicker(s.opts.SyncInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		case <-s.syncer.wake:
		}
		if err := s.syncer.flush(); err != nil {
			s.log.Error("sync failed: what was written lately may not survive a power failure", "error", err)
		}
	}
}

// durable returns when what the caller wrote is as durable as the mode says.
func (s *Store) durable() error {
	if s.opts.Sync != SyncAlways {
		return nil
	}
	if err := s.syncer.wait(); err != nil {
		return s.writeError(err)
	}
	return nil
}
