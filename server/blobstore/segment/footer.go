package segment

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// A sealed segment ends in its footer: an entry of 32 bytes for each record,
// in the order of their tags, and a trailer that ends with the file.
const (
	footerMagic = "LARDRFTR"
	entrySize   = 32
	// The entries are read in groups, those whose tags begin with the same
	// groupBits bits; the trailer tells where each group begins.
	groupBits  = 6
	groupCount = 1 << groupBits
	trailerLen = 384

	trailerHeadAt  = 48
	trailerFenceAt = trailerHeadAt + segmentHeader
	trailerCRCAt   = trailerFenceAt + 4*(groupCount+1)
	trailerSumAt   = trailerLen - 4

	// footerChunk is how much of a footer is in memory at once, in bytes.
	footerChunk = 256 << 10
)

var errBadFooter = errors.New("footer is damaged")

// footerLen is the length of a footer of that many records.
func footerLen(records int) int64 { return int64(records)*entrySize + trailerLen }

// trailer is the last part of a footer.
type trailer struct {
	head       segmentHead
	count      int
	start      int64 // offset of the entries
	maxVersion uint64
	stored     int64 // sum of the records' stored sizes
	punched    int64 // room that was given back to the file system
	fences     [groupCount + 1]uint32
	crc        uint32 // of the entries
}

func sortEntries(entries []footEntry) {
	slices.SortFunc(entries, func(a, b footEntry) int { return cmp.Compare(a[0], b[0]) })
}

func groupOf(tag uint64) int { return int(tag >> (64 - groupBits)) }

// newTrailer describes sorted entries that will be written at start.
func newTrailer(head segmentHead, entries []footEntry, start int64) trailer {
	t := trailer{head: head, count: len(entries), start: start}
	for i := range entries {
		t.fences[groupOf(entries[i].tag())+1]++
		t.maxVersion = max(t.maxVersion, entries[i].version())
		t.stored += entries[i].stored()
	}
	for g := range groupCount {
		t.fences[g+1] += t.fences[g]
	}
	return t
}

func (t *trailer) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, footerMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(t.count))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(t.start))
	dst = binary.LittleEndian.AppendUint64(dst, t.maxVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(t.stored))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(t.punched))
	dst = t.head.append(dst)
	for _, n := range t.fences {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	dst = binary.LittleEndian.AppendUint32(dst, t.crc)
	for len(dst)-start < trailerSumAt {
		dst = append(dst, 0)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// parseTrailer reads the trailer of a file of that size. The version is
// checked by its segment header.
func parseTrailer(b []byte, fileSize int64) (t trailer, err error) {
	if len(b) != trailerLen || string(b[:8]) != footerMagic ||
		crc32.Checksum(b[:trailerSumAt], castagnoli) != binary.LittleEndian.Uint32(b[trailerSumAt:]) {
		return t, errBadFooter
	}
	t.count = int(binary.LittleEndian.Uint32(b[12:]))
	t.start = int64(binary.LittleEndian.Uint64(b[16:]))
	t.maxVersion = binary.LittleEndian.Uint64(b[24:])
	t.stored = int64(binary.LittleEndian.Uint64(b[32:]))
	t.punched = int64(binary.LittleEndian.Uint64(b[40:]))
	if t.head, err = parseHead(b[trailerHeadAt:]); err != nil {
		return t, err
	}
	for g := range t.fences {
		t.fences[g] = binary.LittleEndian.Uint32(b[trailerFenceAt+4*g:])
		if g > 0 && t.fences[g] < t.fences[g-1] {
			return t, errBadFooter
		}
	}
	t.crc = binary.LittleEndian.Uint32(b[trailerCRCAt:])
	if t.count > maxRecords || int(t.fences[groupCount]) != t.count || t.start < dataStart ||
		t.start+footerLen(t.count) != fileSize || t.punched < 0 || t.punched > t.start {
		return t, errBadFooter
	}
	return t, nil
}

// readTrailer reads the trailer of a sealed segment's file.
func readTrailer(f file, fileSize int64) (trailer, error) {
	if fileSize < dataStart+trailerLen {
		return trailer{}, errBadFooter
	}
	var b [trailerLen]byte
	if _, err := f.ReadAt(b[:], fileSize-trailerLen); err != nil {
		return trailer{}, fmt.Errorf("read footer: %w", err)
	}
	return parseTrailer(b[:], fileSize)
}

// eachChunk calls do with the entries from index from to to, some at a time.
// buf is of footerChunk bytes.
func (t *trailer) eachChunk(f file, buf []byte, from, to int, do func(raw []byte) error) error {
	for from < to {
		n := min(to-from, footerChunk/entrySize)
		raw := buf[:n*entrySize]
		if _, err := f.ReadAt(raw, t.start+int64(from)*entrySize); err != nil {
			return fmt.Errorf("read footer: %w", err)
		}
		if err := do(raw); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// verify checks the entries' checksum.
func (t *trailer) verify(f file, buf []byte) error {
	var crc uint32
	err := t.eachChunk(f, buf, 0, t.count, func(raw []byte) error {
		crc = crc32.Update(crc, castagnoli, raw)
		return nil
	})
	if err == nil && crc != t.crc {
		return errBadFooter
	}
	return err
}

func decodeEntry(raw []byte) (e footEntry) {
	for i := range e {
		e[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return e
}

// entries reads the entries of a range.
func (t *trailer) entries(dst []footEntry, f file, buf []byte, from, to int) ([]footEntry, error) {
	err := t.eachChunk(f, buf, from, to, func(raw []byte) error {
		for ; len(raw) > 0; raw = raw[entrySize:] {
			dst = append(dst, decodeEntry(raw))
		}
		return nil
	})
	return dst, err
}

// writeFooter writes the footer of sorted entries and returns where it ends.
func (t *trailer) write(w io.WriterAt, entries []footEntry) (int64, error) {
	at := t.start
	buf := make([]byte, 0, footerChunk)
	for chunk := range slices.Chunk(entries, footerChunk/entrySize) {
		buf = buf[:0]
		for i := range chunk {
			for _, word := range chunk[i] {
				buf = binary.LittleEndian.AppendUint64(buf, word)
			}
		}
		t.crc = crc32.Update(t.crc, castagnoli, buf)
		if _, err := w.WriteAt(buf, at); err != nil {
			return 0, err
		}
		at += int64(len(buf))
	}
	if _, err := w.WriteAt(t.append(buf[:0]), at); err != nil {
		return 0, err
	}
	return at + trailerLen, nil
}
