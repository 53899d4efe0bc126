package httpcache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/larder-build/larder/server/blobstore"
)

// spools keeps uploads in temporary files, where a body has to be read twice:
// its size is not known before its end, or not which digest function its hash
// is of.
type spools struct {
	dir  string
	max  int64
	used atomic.Int64 // bytes in all of them
}

// spool is one upload's file. The file has no name where the system allows
// that, so a crash leaves nothing behind.
type spool struct {
	of   *spools
	file *os.File
	size int64
}

func (s *spools) open() (*spool, error) {
	f, err := os.CreateTemp(s.dir, "larder-upload-")
	if err != nil {
		return nil, spoolError(err)
	}
	_ = os.Remove(f.Name()) // where it fails, close removes it
	return &spool{of: s, file: f}, nil
}

func (s *spool) Write(p []byte) (int, error) {
	n := int64(len(p))
	if s.of.used.Add(n) > s.of.max {
		s.of.used.Add(-n)
		return 0, fmt.Errorf("%w: uploads that have to be spooled have reached %d bytes: send Content-Length, and X-Digest-SizeBytes with zstd",
			blobstore.ErrUnavailable, s.of.max)
	}
	s.size += n
	if m, err := s.file.Write(p); err != nil {
		return m, spoolError(err)
	}
	return len(p), nil
}

// reader reads the spool from its begin.
func (s *spool) reader() io.Reader { return io.NewSectionReader(s.file, 0, s.size) }

func (s *spool) close() {
	s.of.used.Add(-s.size)
	s.file.Close()
	_ = os.Remove(s.file.Name())
}

func spoolError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: spooling an upload: %w", blobstore.ErrNoSpace, err)
	}
	return fmt.Errorf("spooling an upload: %w", err)
}

// tee spools an upload while it is stored, as long as there is room: what
// cannot be spooled is only a loss if the upload has to be read again.
type tee struct {
	spool *spool // nil if it could not be opened
	err   error  // why the spool is not complete
}

func (s *spools) openTee() *tee {
	spool, err := s.open()
	return &tee{spool, err}
}

// Write never fails.
func (t *tee) Write(p []byte) (int, error) {
	if t.err == nil {
		_, t.err = t.spool.Write(p)
	}
	return len(p), nil
}

func (t *tee) close() {
	if t.spool != nil {
		t.spool.close()
	}
}
