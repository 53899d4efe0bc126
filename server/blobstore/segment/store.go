// Package segment is the local store: a log of segment files with an index in
// memory.
//
// Blobs of all sizes are records, appended to the newest segment, many in one
// write; a large one gets a segment of its own. The index has 24 bytes for each
// blob, so that FindMissing reads no disk. A full segment is sealed with a
// footer that lists its records: a start reads footers, and scans only what was
// not sealed. When the store is full the whole oldest segment goes; what was
// used since it was written moves to the head of the log first.
//
// After a crash of the process all that was acknowledged is there; what a
// power failure leaves, the SyncMode says. Every stored byte is checked against
// a CRC-32C before it is given out. docs/formats.md describes the files.
package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-build/larder/server/blobstore"
)

// Options configure a store. Only Dir is required.
type Options struct {
	// Dir is the directory, of this store alone. It is made if it is missing.
	Dir string
	// MaxBytes is the most the store may take on disk, at least MinMaxBytes;
	// 0 is no limit but the disk.
	MaxBytes int64
	// SegmentBytes is the size of a segment, from 64 KiB to 1 GiB and at most a
	// quarter of MaxBytes. 0 chooses: MaxBytes/64, within 4 MiB and 256 MiB.
	SegmentBytes int64
	// MinTTL is how long a blob that was used is kept at least, while MaxBytes
	// allows it; 0 promises nothing.
	MinTTL time.Duration
	// Sync says what survives a power failure.
	Sync SyncMode
	// SyncInterval is the time between syncs with SyncInterval; 0 is a second.
	SyncInterval time.Duration
	// Compress keeps what comes uncompressed as zstd where that saves room.
	Compress bool
	// MinFreeBytes is what is left free on the file system: below it the store
	// evicts. 0 does not look.
	MinFreeBytes int64
	// Logger gets what an operator should know; nil is none.
	Logger *slog.Logger
	// Registerer gets the metrics, named larder_segment_*; nil is none.
	Registerer prometheus.Registerer

	// The seams of the tests.
	fsys files
	now  func() time.Time
}

// Store is a local store. It satisfies blobstore.Store and blobstore.Remover.
type Store struct {
	opts Options
	limits
	log     *slog.Logger
	metrics *metrics
	fsys    files
	lock    *os.File
	ident   identity

	index   index
	segs    segments
	fds     *fdCache
	buffers buffers
	checked checkedRecords
	head    appendLog
	room    room
	order   ordering
	syncer  *syncer
	sealer  *sealer
	evictor evictor
	changed signal // room or segments became free
	lateMu  sync.Mutex
	late    []late // while loading

	version      atomic.Uint64 // of the newest record
	stored       atomic.Int64  // bytes of all blobs that can be read
	corrupt      atomic.Int64
	lostSegments atomic.Int64 // that could not be read when the store was opened
	lostRecords  atomic.Int64
	evictedBlobs atomic.Int64
	evictedBytes atomic.Int64

	life     sync.RWMutex // read-held by each call
	closed   atomic.Bool
	closing  sync.Once
	closeErr error
	stop     chan struct{}
	workers  sync.WaitGroup
}

var (
	_ blobstore.Store   = (*Store)(nil)
	_ blobstore.Remover = (*Store)(nil)
)

// Open opens the store in the directory, or makes one if the directory is empty
// or missing. It fails, and changes nothing, if another process has the store
// open, if the directory is something else's, or if a newer program wrote it.
// The context bounds the opening.
func Open(ctx context.Context, opts Options) (*Store, error) {
	s, err := open(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", opts.Dir, err)
	}
	return s, nil
}

func open(ctx context.Context, opts Options) (*Store, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	s := &Store{opts: opts, limits: opts.limits(), log: opts.Logger, fsys: opts.fsys, stop: make(chan struct{})}
	s.metrics = newMetrics(s)
	s.fds = newFDCache()
	s.syncer = newSyncer(s.fsys, s.fds, s.metrics.synced)
	s.sealer = newSealer()
	s.evictor.init(s.creditLimit)
	if err := s.claim(); err != nil {
		return nil, err
	}
	if err := s.recover(ctx); err != nil {
		s.abandon()
		return nil, err
	}
	if err := s.metrics.register(opts.Registerer); err != nil {
		s.abandon()
		return nil, err
	}
	s.start()
	return s, nil
}

// claim makes the directory this store's.
func (s *Store) claim() (err error) {
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(osFiles{s.opts.Dir}.path(metaName)); errors.Is(err, fs.ErrNotExist) {
		if err := checkEmpty(s.fsys); err != nil {
			return err
		}
	}
	if s.lock, err = lockDir(s.opts.Dir); err != nil {
		return err
	}
	if s.ident, err = openMeta(s.fsys); err != nil {
		s.lock.Close()
	}
	return err
}

// abandon undoes an opening that failed.
func (s *Store) abandon() {
	s.closed.Store(true)
	s.closeFiles()
	s.index.free()
	s.lock.Close()
}

func (s *Store) start() {
	s.workers.Go(s.runSyncer)
	s.workers.Go(s.runSealer)
	s.workers.Go(s.runTouchSaver)
	s.evictor.done.Go(s.runEvictor)
	s.wakeEvictor()
}

// enter begins a call. leave must follow if it succeeds.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed.Load() {
		s.life.RUnlock()
		return blobstore.ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

func (s *Store) now() time.Time { return s.opts.now() }

// minute is now, as the index counts it.
func (s *Store) minute() uint32 { return minuteOf(s.now()) }

// Close ends the store: what is under way is finished or fails with ErrClosed,
// and all is made durable. Blobs that are being read can be read to their end.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.closed.Store(true)
	s.changed.notify()
	s.life.Lock()   // all calls have left
	s.life.Unlock() //nolint:staticcheck // nothing to do but wait
	close(s.evictor.stop)
	s.evictor.done.Wait()
	close(s.stop)
	s.workers.Wait()
	s.sealAll()
	s.clearLeftovers()
	errs := []error{s.saveTouches(), s.syncAtClose()}
	s.closeFiles()
	s.metrics.unregister(s.opts.Registerer)
	s.index.free()
	return errors.Join(append(errs, s.lock.Close())...)
}

// sealAll ends all segments. Those who still write to one find it closed.
func (s *Store) sealAll() {
	for _, seg := range s.segs.ordered() {
		s.head.mu.Lock()
		state := seg.state
		if state <= stateFull && (seg.records == 0 || seg.single && seg.pins > 0) {
			s.room.give(seg.disk())
			s.drop(seg)
			state = stateGone
		}
		s.head.sealing++
		s.head.mu.Unlock()
		if state <= stateFull {
			s.seal(seg)
		}
	}
}

func (s *Store) syncAtClose() error {
	if s.opts.Sync == SyncOff {
		return nil
	}
	return s.syncer.flush()
}

func (s *Store) closeFiles() {
	for _, seg := range s.segs.all() {
		seg.retire(s.fds)
	}
}

// Stats tells of the store now.
func (s *Store) Stats() blobstore.Stats {
	st := blobstore.Stats{
		Blobs: s.index.blobs.Load(), ActionResults: s.index.results.Load(),
		LogicalBytes: s.index.bytes.Load(), StoredBytes: s.stored.Load(),
		DiskBytes: s.room.disk.Load(), MaxBytes: s.opts.MaxBytes, ReservedBytes: s.room.reserved.Load(),
		Files:        int64(len(s.segs.all())),
		EvictedBlobs: s.evictedBlobs.Load(), EvictedBytes: s.evictedBytes.Load(), CorruptBlobs: s.corrupt.Load(),
	}
	if segs := s.segs.ordered(); len(segs) > 0 {
		st.Oldest = segs[0].created
	}
	return st
}
