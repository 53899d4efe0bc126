package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// smallContents are contents whose text is short, so that tests are quick.
func smallContents(seed uint64) *contents { return newContents(seed, 256*kib) }

func TestDigestsAreThoseOfTheContent(t *testing.T) {
	t.Parallel()
	c := smallContents(7)
	b := buffer{contents: c}
	for _, id := range []blobID{{tailBytes, 0}, {64 * kib, 1}, {100, 2}, {64 * kib, 3}, {99, 3}, {100, 2}, {65 * kib, 1 << 40}} {
		got := b.blob(id)
		sum := sha256.Sum256(got)
		want := c.digest(id)
		if want.Hash != hex.EncodeToString(sum[:]) || want.SizeBytes != int64(len(got)) || len(got) != id.size {
			t.Errorf("blob %v: content of %d bytes does not have digest %v", id, len(got), want)
		}
		filled := make([]byte, id.size)
		c.fill(filled, id.serial)
		if !bytes.Equal(filled, got) {
			t.Errorf("blob %v: fill and buffer differ", id)
		}
	}
}

func TestContentsAreDeterministicAndDistinct(t *testing.T) {
	t.Parallel()
	a, b, other := smallContents(7), smallContents(7), smallContents(8)
	seen := make(map[string]blobID)
	for _, id := range []blobID{{1000, 0}, {1000, 1}, {1000, 1 << 40}, {1001, 0}} {
		h := a.digest(id).Hash
		if h != b.digest(id).Hash {
			t.Errorf("blob %v differs between two of one seed", id)
		}
		if h == other.digest(id).Hash {
			t.Errorf("blob %v is the same for two seeds", id)
		}
		if was, ok := seen[h]; ok {
			t.Errorf("blobs %v and %v are the same", id, was)
		}
		seen[h] = id
	}
}

func TestContentIsHalfCompressible(t *testing.T) {
	t.Parallel()
	p := newPacker(smallContents(1))
	for _, size := range []int{16 * kib, 256 * kib} {
		ratio := float64(size) / float64(len(p.pack(blobID{size, 1})))
		if ratio < 1.5 || ratio > 4 {
			t.Errorf("%d bytes compress %.2f times, want about 2", size, ratio)
		}
	}
}

func TestScatterIsEven(t *testing.T) {
	t.Parallel()
	var counts [10]int
	for i := range uint64(10_000) {
		counts[scatter(i, len(counts))]++
	}
	for v, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("%d came %d times of 10000, want about 1000", v, n)
		}
	}
}
