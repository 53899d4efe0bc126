package segment

import (
	"runtime/debug"
	"sync/atomic"
)

// hotPages lets a small record be read without a system call, which for a
// blob of a KiB costs as much as all else: the file is mapped, and a record
// whose pages were read in this minute is copied out of the mapping.
//
// Only then, because those pages are surely in memory. The first touch of a
// page that is not would hold up a whole processor while the disk is at work,
// where a system call lets others go on. And only copied, because the bytes
// must not change between the check of their checksum and their use.
type hotPages struct {
	mem []byte
	// minute is when bits began to be set; they are cleared when it is over.
	minute atomic.Uint32
	bits   []atomic.Uint64 // one for each page
}

// mapper is a file that can be mapped. Where one cannot, all is read.
type mapper interface {
	// mmap maps the first n bytes for reading; the file may be shorter.
	mmap(n int64) ([]byte, error)
	munmap(mem []byte) error
	// modified is when the file was last written to, in nanoseconds.
	modified() (int64, error)
}

func newHotPages(mem []byte) *hotPages {
	pages := (len(mem) + pageSize - 1) / pageSize
	return &hotPages{mem: mem, bits: make([]atomic.Uint64, (pages+63)/64)}
}

// read fills p from offset if all of it was read in this minute.
func (h *hotPages) read(p []byte, offset int64, minute uint32) bool {
	end := offset + int64(len(p))
	if h.minute.Load() != minute || end > int64(len(h.mem)) {
		return false
	}
	for page := offset / pageSize; page*pageSize < end; page++ {
		if h.bits[page/64].Load()&(1<<(page%64)) == 0 {
			return false
		}
	}
	return copyMapped(p, h.mem[offset:end])
}

// note remembers that n bytes at offset were read just now. Two that note the
// first uses of a new minute may lose some; that costs a system call.
func (h *hotPages) note(offset, n int64, minute uint32) {
	if old := h.minute.Load(); old != minute && h.minute.CompareAndSwap(old, minute) {
		for i := range h.bits {
			h.bits[i].Store(0)
		}
	}
	// Pages that are covered in part count: a page is in memory as a whole.
	for page := offset / pageSize; page*pageSize < min(offset+n, int64(len(h.mem))); page++ {
		if bit := uint64(1) << (page % 64); h.bits[page/64].Load()&bit == 0 {
			h.bits[page/64].Or(bit)
		}
	}
}

// copyMapped copies out of a mapping. It answers false where that faults: an
// I/O error, or a file that somebody cut off. The file itself then says which.
func copyMapped(dst, src []byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	copy(dst, src)
	return true
}

// readSmall is ReadAt for a record that may be hot. The segment must be held
// by acquire.
func (s *segment) readSmall(p []byte, offset int64, minute uint32) (int, error) {
	if s.single {
		return s.f.ReadAt(p, offset)
	}
	hot := s.hot.Load()
	if hot != nil && hot.read(p, offset, minute) {
		return len(p), nil
	}
	n, err := s.f.ReadAt(p, offset)
	if hot == nil {
		hot = s.mapHot()
	}
	if hot != nil && n > 0 {
		hot.note(offset, int64(n), minute)
	}
	return n, err
}

// mapHot maps the segment's file, once. The segment must be held by acquire.
func (s *segment) mapHot() *hotPages {
	if hot := s.hot.Load(); hot != nil {
		return hot
	}
	m, ok := s.f.(mapper)
	if !ok || s.unmappable.Load() {
		return nil
	}
	s.openMu.Lock()
	defer s.openMu.Unlock()
	if hot := s.hot.Load(); hot != nil {
		return hot
	}
	mem, err := m.mmap(s.mapLen)
	if err != nil {
		s.unmappable.Store(true) // too many mappings, perhaps
		return nil
	}
	hot := newHotPages(mem)
	s.hot.Store(hot)
	return hot
}

// unmapHot ends the mapping. Nobody may hold the segment.
func (s *segment) unmapHot() {
	if hot := s.hot.Swap(nil); hot != nil {
		_ = s.f.(mapper).munmap(hot.mem) // it was mapped, so it can be unmapped
	}
}
