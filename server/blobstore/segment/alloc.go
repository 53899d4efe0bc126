package segment

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allocSlots returns n empty slots outside the Go heap. Memory that the system
// refuses is a fatal error, as it is for the heap.
func allocSlots(n int) []slot {
	b, err := unix.Mmap(-1, 0, n*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]slot, n) // out of mappings, perhaps; the heap decides
	}
	return unsafe.Slice((*slot)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// freeSlots gives slots of allocSlots back. For those on the heap there is no
// mapping and nothing happens.
func freeSlots(s []slot) {
	if len(s) == 0 {
		return
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*slotSize)
	_ = unix.Munmap(slices.Clip(b))
}
