package segment

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/encoding"
)

// maxBadRecords is how many bad records a report names.
const maxBadRecords = 1000

// ScrubReport is what a check of a whole store found.
type ScrubReport struct {
	// Segments, Records and Bytes (stored) count what was checked.
	Segments, Records, Bytes int64
	// Dropped counts the records that were bad. They are missing now, and can
	// be written again.
	Dropped int64
	// LostSegments and LostRecords count what could not be taken in when the
	// store was opened. A record that a killed process had not finished, and
	// that nobody was told is stored, may be among the records.
	LostSegments, LostRecords int64
	// Bad names the first of the dropped.
	Bad []BadRecord
}

// BadRecord is a record that a check dropped.
type BadRecord struct {
	Segment string // file name
	Offset  int64
	// Blob is its key, if that can still be read.
	Blob   string
	Reason string
}

// Scrub reads every blob of the store and checks it against its checksums and,
// in the CAS, its digest. Bad ones are dropped and reported. Others can use the
// store meanwhile. The context ends it, with the report so far.
func (s *Store) Scrub(ctx context.Context) (ScrubReport, error) {
	sc := scrubber{s: s, ctx: ctx, buf: make([]byte, scanWindow)}
	sc.report.LostSegments, sc.report.LostRecords = s.lostSegments.Load(), s.lostRecords.Load()
	for _, seg := range s.segs.ordered() {
		if err := sc.segment(seg); err != nil {
			return sc.report, err
		}
	}
	return sc.report, sc.checkOpen()
}

type scrubber struct {
	s      *Store
	ctx    context.Context
	buf    []byte
	report ScrubReport
}

// checkOpen reports whether the store is still open and the check wanted.
func (sc *scrubber) checkOpen() error {
	err := sc.s.enter(sc.ctx)
	if err == nil {
		sc.s.leave()
	}
	return err
}

func (sc *scrubber) segment(seg *segment) error {
	if err := sc.checkOpen(); err != nil {
		return err
	}
	entries, err := sc.entries(seg)
	switch {
	case errors.Is(err, errGone):
		return nil // evicted meanwhile
	case err != nil:
		return fmt.Errorf("scrub of segment %s: %w", seg.name(), err)
	}
	sc.report.Segments++
	for i := range entries {
		if err := sc.record(seg, &entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scrubber) entries(seg *segment) ([]footEntry, error) {
	if err := seg.acquire(sc.s.fds); err != nil {
		return nil, err
	}
	defer seg.release(sc.s.fds)
	return sc.s.entriesOf(seg)
}

// record checks one record, if the index has it.
func (sc *scrubber) record(seg *segment, e *footEntry) error {
	if err := sc.s.enter(sc.ctx); err != nil {
		return err
	}
	defer sc.s.leave()
	v := victim{s: sc.s, seg: seg}
	sl, ok := v.live(e)
	if !ok || seg.acquire(sc.s.fds) != nil {
		return nil
	}
	defer seg.release(sc.s.fds)
	sc.report.Records++
	sc.report.Bytes += e.stored()
	name, reason := sc.check(seg, sl)
	if reason == "" {
		return nil
	}
	sc.s.dropCorrupt(sl, name, reason)
	sc.report.Dropped++
	if len(sc.report.Bad) < maxBadRecords {
		sc.report.Bad = append(sc.report.Bad, BadRecord{Segment: seg.name(), Offset: e.offset(), Blob: name, Reason: reason})
	}
	return nil
}

// check reads the record as Get does, and judges the content. It counts as no
// use of the blob.
func (sc *scrubber) check(seg *segment, sl slot) (name, reason string) {
	h, ok := sc.s.headerAt(sl.loc)
	if !ok {
		return "", errBadHeader.Error()
	}
	key, err := h.key()
	if err != nil {
		return "", err.Error()
	}
	if sc.s.ident.key.tag(&key) != sl.tag {
		return key.String(), "record is of another key"
	}
	ok, err = checkData(seg.f, sl.loc.offset()+h.len(), h.stored, sc.buf)
	if err != nil {
		return key.String(), err.Error()
	}
	if !ok {
		return key.String(), "data does not match its checksum"
	}
	if err := sc.verify(seg, sl, &h, key); err != nil {
		return key.String(), err.Error()
	}
	return key.String(), ""
}

// verify checks the content against the digest.
func (sc *scrubber) verify(seg *segment, sl slot, h *header, key blobstore.Key) error {
	spec := blobstore.Spec{Key: key, Size: h.logical, Encoding: blobstore.Encoding(h.encoding)}
	v := encoding.NewVerifierContext(sc.ctx, spec)
	defer v.Close()
	data := io.NewSectionReader(seg.f, sl.loc.offset()+h.len(), h.stored)
	if _, err := io.CopyBuffer(onlyWriter{v}, onlyReader{data}, sc.buf); err != nil {
		return err
	}
	return v.Finish()
}

// onlyReader and onlyWriter make io.CopyBuffer use its buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
