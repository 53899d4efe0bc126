package segment

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// checkTable checks the order of the slots, which all look-ups rely on.
func checkTable(t *testing.T, tab *table, want map[uint64]location) {
	t.Helper()
	got := make(map[uint64]location)
	last, at := uint64(0), -1
	for i, s := range tab.slots {
		if s.loc == 0 {
			continue
		}
		home := tab.home(s.tag)
		if home > i || len(got) > 0 && s.tag <= last {
			t.Fatalf("slot %d of tag %x, whose home is %d, comes after tag %x", i, s.tag, home, last)
		}
		if home < i && i > 0 && tab.slots[i-1].loc == 0 {
			t.Fatalf("slot %d is away from home %d for no reason", i, home)
		}
		last, at = s.tag, i
		got[s.tag] = s.loc
	}
	if at == len(tab.slots)-1 && at >= 0 {
		t.Fatal("the last place is taken")
	}
	if !maps.Equal(got, want) || tab.count != len(want) {
		t.Fatalf("table has %d slots, counts %d, want %d", len(got), tab.count, len(want))
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	for name, tagOf := range map[string]func(*rand.Rand) uint64{
		"uniform": func(r *rand.Rand) uint64 { return r.Uint64() >> shardBits },
		"crowded": func(r *rand.Rand) uint64 { return r.Uint64N(5000) }, // all at one home
		"at the end": func(r *rand.Rand) uint64 {
			// More than a few at one home cannot be: the tags are keyed hashes.
			return (1<<(64-shardBits) - 1) - r.Uint64N(30)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			var tab table
			defer tab.free()
			want := make(map[uint64]location)
			for step := range 20000 {
				tag := tagOf(r)
				at, found := tab.find(tag)
				_, wanted := want[tag]
				if found != wanted {
					t.Fatalf("tag %x found: %v, want %v", tag, found, wanted)
				}
				switch {
				case !found:
					loc := location(step + 1)
					tab.insert(slot{tag: tag, loc: loc})
					want[tag] = loc
				case r.IntN(2) == 0 || step > 15000:
					tab.remove(at)
					delete(want, tag)
				}
				if step%997 == 0 {
					checkTable(t, &tab, want)
				}
			}
			for tag := range want {
				at, _ := tab.find(tag)
				tab.remove(at)
			}
			checkTable(t, &tab, nil)
		})
	}
}

// The index must not take more than 40 bytes a blob, whenever one looks.
func TestTableBytesPerSlot(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var tab table
	defer tab.free()
	for n := 1; n <= 200_000; n++ {
		tab.insert(slot{tag: r.Uint64() >> shardBits, loc: 1})
		if bytes := len(tab.slots) * slotSize; n > 5000 && bytes > 36*n {
			t.Fatalf("%d slots take %d bytes, %d each", n, bytes, bytes/n)
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	var x index
	defer x.free()
	a := slot{tag: 1 << 60, loc: locationOf(1, 128), meta: metaOf(blobstore.CAS, 10, 5)}
	if _, existed := x.put(a, true); existed {
		t.Error("the first was there")
	}
	b := a
	b.loc = locationOf(2, 128)
	if old, existed := x.put(b, true); !existed || old != a {
		t.Errorf("kept %+v", old)
	}
	if got, ok := x.get(a.tag); !ok || got != a {
		t.Errorf("keep did not keep: %+v", got)
	}
	if _, ok := x.touch(a.tag, 11, 9); ok {
		t.Error("a blob of another size was found")
	}
	if _, ok := x.touch(a.tag, 10, 9); !ok {
		t.Error("the blob was not found")
	}
	if got, _ := x.get(a.tag); got.minute() != 9 || !got.touched() {
		t.Errorf("the use was not noted: %+v", got)
	}
	if x.move(a.tag, b.loc, b.loc) || !x.move(a.tag, a.loc, b.loc) {
		t.Error("move does not compare the place")
	}
	if got, _ := x.get(a.tag); got.loc != b.loc || !got.touched() || got.minute() != 9 {
		t.Errorf("after the move: %+v", got)
	}
	if _, ok := x.remove(a.tag, a.loc); ok {
		t.Error("removed at another place")
	}
	if x.blobs.Load() != 1 || x.bytes.Load() != 10 {
		t.Errorf("sums are %d, %d", x.blobs.Load(), x.bytes.Load())
	}
	if _, ok := x.remove(a.tag, b.loc); !ok || x.blobs.Load() != 0 || x.bytes.Load() != 0 {
		t.Error("not removed")
	}
}

func TestIndexEachIsOrdered(t *testing.T) {
	t.Parallel()
	var x index
	defer x.free()
	r := rand.New(rand.NewPCG(3, 4))
	for range 10_000 {
		x.put(slot{tag: r.Uint64(), loc: 1}, false)
	}
	var tags []uint64
	x.each(func(s slot) bool { tags = append(tags, s.tag); return true })
	if len(tags) != 10_000 || !slices.IsSortedFunc(tags, cmp.Compare[uint64]) {
		t.Errorf("%d tags, sorted: %v", len(tags), slices.IsSorted(tags))
	}
}
