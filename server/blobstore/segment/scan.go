package segment

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/larder-build/larder/server/blobstore"
)

// scanWindow is how much of a segment a scan has in memory, in bytes.
const scanWindow = 1 << 20

// scanner finds the records of a segment that has no footer.
type scanner struct {
	f    file
	size int64
	mac  sipKey
	key  sipKey
	buf  []byte
	at   int64 // where the window is
	n    int   // how much of it there is
}

// scanned is what a scan found.
type scanned struct {
	entries []footEntry
	tail    int64 // where the last good record ends
	lost    int   // records whose data was not what was written
	err     error // of the file; what lies beyond it was not looked at
}

// scan looks at the places where records can be. Data is checked, too: a power
// failure can keep a header and lose its data.
func (sc *scanner) scan(single bool) scanned {
	res := scanned{tail: dataStart}
	for off := int64(dataStart); off+fixedHeader <= sc.size; {
		next, err := sc.record(off, &res)
		if err != nil {
			res.err = err
			break
		}
		off = next
		if single {
			break
		}
	}
	return res
}

// record looks for a record at off and returns where to look next.
func (sc *scanner) record(off int64, res *scanned) (int64, error) {
	b, err := sc.bytes(off, maxHeaderLen)
	if err != nil {
		return 0, err
	}
	h, err := parseHeader(b, sc.mac, off)
	if err != nil {
		return sc.nextMagic(off + recordAlign)
	}
	if off+h.recordLen() > sc.size {
		res.lost++ // the file was cut off
		return sc.nextMagic(off + recordAlign)
	}
	tag, err := h.tag(sc.key)
	if err != nil {
		return 0, fmt.Errorf("record at %d: %w", off, err) // no writer makes such a key
	}
	e, end := entryOf(tag, &h, off), off+h.recordLen()
	ok, err := sc.intact(off, &h)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		res.lost++
	default:
		res.entries = append(res.entries, e)
		res.tail = end
	}
	return end, nil
}

// intact checks the data of the record at off. It may move the window.
func (sc *scanner) intact(off int64, h *header) (bool, error) {
	head, stored, length := h.len(), h.stored, h.recordLen()
	if length <= int64(len(sc.buf)) {
		b, err := sc.bytes(off, int(length))
		if err != nil || int64(len(b)) < length {
			return false, err
		}
		return crcMatches(b[head:head+stored], b[head+stored:]), nil
	}
	sc.n = 0
	return checkData(sc.f, off+head, stored, sc.buf)
}

// checkData reads a record's data through buf, of whole blocks, and checks it.
func checkData(f io.ReaderAt, at, stored int64, buf []byte) (bool, error) {
	var crcs [scanWindow / blobstore.ReadBlock * crcSize]byte
	for done := int64(0); done < stored; {
		p := buf[:min(stored-done, scanWindow)]
		table := crcs[:crcSize*blocksOf(int64(len(p)))]
		if _, err := f.ReadAt(p, at+done); err != nil {
			return false, notEOF(err)
		}
		if _, err := f.ReadAt(table, at+stored+done/blobstore.ReadBlock*crcSize); err != nil {
			return false, notEOF(err)
		}
		if !crcMatches(p, table) {
			return false, nil
		}
		done += int64(len(p))
	}
	return true, nil
}

// notEOF drops the error of a file that is too short: its data is not intact.
func notEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// nextMagic returns the next place from off that begins like a record, or the
// end of the file.
func (sc *scanner) nextMagic(off int64) (int64, error) {
	for off+fixedHeader <= sc.size {
		b, err := sc.bytes(off, fixedHeader)
		if err != nil {
			return 0, err
		}
		if len(b) < fixedHeader {
			break
		}
		b = sc.buf[off-sc.at : sc.n]
		for i := 0; i+4 <= len(b); i += recordAlign {
			if binary.LittleEndian.Uint32(b[i:]) == recordMagic {
				return off + int64(i), nil
			}
		}
		off += int64(len(b)+recordAlign-1) &^ (recordAlign - 1)
	}
	return sc.size, nil
}

// bytes returns n bytes at off, fewer at the end of the file. They are good
// until the next call.
func (sc *scanner) bytes(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), sc.size-off))
	if off < sc.at || off+int64(n) > sc.at+int64(sc.n) {
		got, err := sc.f.ReadAt(sc.buf[:min(int64(len(sc.buf)), sc.size-off)], off)
		if notEOF(err) != nil {
			return nil, fmt.Errorf("read at %d: %w", off, err)
		}
		sc.at, sc.n = off, got
		n = min(n, got)
	}
	return sc.buf[off-sc.at:][:n], nil
}
