package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"time"
)

// The file touches keeps for the next Open when blobs were used last. It is
// chunks of up to touchesPerChunk entries (tag and minute), each chunk with its
// number of entries before it and its CRC-32C after it. Close writes it, and the
// open store at intervals: after a crash the uses since then are forgotten.
const (
	touchesInterval = 10 * time.Minute

	touchSize       = 12
	touchesPerChunk = 4096
	touchesMagic    = "LARDRTCH"
)

// saveTouches writes the file; without it the store only forgets sooner.
func (s *Store) saveTouches() error {
	return replaceFile(s.fsys, touchesName, s.writeTouches)
}

func (s *Store) writeTouches(w io.WriterAt) error {
	t := touchWriter{w: w}
	_, t.err = w.WriteAt([]byte(touchesMagic), 0)
	t.at = int64(len(touchesMagic))
	s.index.each(func(sl slot) bool {
		if sl.touched() {
			t.add(sl)
		}
		return t.err == nil
	})
	t.flush()
	return t.err
}

type touchWriter struct {
	w   io.WriterAt
	at  int64
	buf []byte
	err error
}

func (t *touchWriter) add(sl slot) {
	t.buf = binary.LittleEndian.AppendUint64(t.buf, sl.tag)
	t.buf = binary.LittleEndian.AppendUint32(t.buf, sl.minute())
	if len(t.buf) == touchSize*touchesPerChunk {
		t.flush()
	}
}

func (t *touchWriter) flush() {
	if t.err != nil || len(t.buf) == 0 {
		return
	}
	chunk := binary.LittleEndian.AppendUint32(nil, uint32(len(t.buf)/touchSize))
	chunk = append(chunk, t.buf...)
	chunk = binary.LittleEndian.AppendUint32(chunk, crc32.Checksum(chunk, castagnoli))
	_, t.err = t.w.WriteAt(chunk, t.at)
	t.at += int64(len(chunk))
	t.buf = t.buf[:0]
}

// runTouchSaver saves the uses at intervals.
func (s *Store) runTouchSaver() {
	tick := time.NewTicker(touchesInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		if err := s.saveTouches(); err != nil {
			s.log.Warn("last uses of blobs cannot be saved", "file", touchesName, "error", err)
		}
	}
}

// loadTouches notes the uses of the file in the index. It stays: a use that is
// noted twice does no harm. A bad chunk ends it.
func (s *Store) loadTouches() {
	f, err := s.fsys.open(touchesName)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = s.readTouches(f)
		f.Close()
	}
	if err != nil {
		s.log.Warn("last uses of some blobs are lost", "file", touchesName, "error", err)
	}
}

var errBadTouches = errors.New("file is damaged")

func (s *Store) readTouches(f io.ReaderAt) error {
	buf := make([]byte, 4+touchesPerChunk*touchSize+4)
	if _, err := f.ReadAt(buf[:len(touchesMagic)], 0); err != nil || string(buf[:len(touchesMagic)]) != touchesMagic {
		return errBadTouches
	}
	for at := int64(len(touchesMagic)); ; {
		n, err := f.ReadAt(buf, at)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			return nil
		}
		used, err := s.applyTouches(buf[:n])
		if err != nil {
			return err
		}
		at += int64(used)
	}
}

// applyTouches takes one chunk and returns its length.
func (s *Store) applyTouches(b []byte) (int, error) {
	if len(b) < 8 {
		return 0, errBadTouches
	}
	count := int(binary.LittleEndian.Uint32(b))
	end := 4 + count*touchSize
	if count > touchesPerChunk || end+4 > len(b) ||
		crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return 0, errBadTouches
	}
	for e := b[4:end]; len(e) > 0; e = e[touchSize:] {
		s.index.touch(binary.LittleEndian.Uint64(e), -1, binary.LittleEndian.Uint32(e[8:])&maxMinute)
	}
	return end + 4, nil
}
