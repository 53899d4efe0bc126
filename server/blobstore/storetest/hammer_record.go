package storetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/larder-build/larder/server/blobstore"
)

// record is what a history knows of one key: which versions of its content
// were begun to be written, and which were acknowledged. A blob of the CAS has
// version 1 only. An action result has one more with every write, and one
// writer at a time, so that its versions are in order.
type record struct {
	key     blobstore.Key
	size    int
	seed    uint64
	writing sync.Mutex // held by the writer of an action result
	// blob is the content of a blob of the CAS. It must not be changed.
	blob []byte

	mu    sync.Mutex
	state state
}

// state counts versions: those up to acked were acknowledged, those up to begun
// may be seen.
type state struct{ acked, begun uint64 }

func (r *record) snapshot() state {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (r *record) begin(version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.begun = max(r.state.begun, version)
}

func (r *record) acknowledge(version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.acked = max(r.state.acked, version)
}

func newBlobRecord(o Options, i int, rng *rand.Rand) *record {
	// 16 bytes at least, so that no two blobs are the same by chance.
	r := &record{size: 16 + randomSize(o, rng), seed: o.Seed<<16 + uint64(i)}
	r.blob = Content(r.size, r.seed)
	r.key = CAS(r.blob)
	return r
}

func newActionRecord(o Options, i int, rng *rand.Rand) *record {
	r := &record{size: 8 + randomSize(o, rng)/16, seed: o.Seed<<16 + uint64(i)}
	r.key = AC([]string{"", "a", "a/b"}[i%3], fmt.Sprint("action ", o.Seed, i))
	return r
}

// randomSize returns a size most of whose values are small and some large.
func randomSize(o Options, rng *rand.Rand) int {
	return rng.IntN(1 + min(o.MaxBlobBytes, 1<<rng.IntN(24)))
}

// content returns a version's content, which must not be changed. That of an
// action result begins with the version, in 8 bytes.
func (r *record) content(version uint64) []byte {
	if r.key.Kind == blobstore.CAS {
		return r.blob
	}
	return append(binary.BigEndian.AppendUint64(nil, version), Content(r.size, r.seed+version<<32)...)
}

// check says what is wrong with content that was read when the state went from
// before to after.
func (r *record) check(content []byte, before, after state) error {
	version := uint64(1)
	if r.key.Kind == blobstore.AC {
		if len(content) < 8 {
			return fmt.Errorf("%v: action result has %d bytes", r.key, len(content))
		}
		version = binary.BigEndian.Uint64(content)
	}
	if version < before.acked || version > after.begun {
		return fmt.Errorf("%v: version %d was read, %d was acknowledged before and %d begun", r.key, version, before.acked, after.begun)
	}
	if !bytes.Equal(content, r.content(version)) {
		return fmt.Errorf("%v: wrong content, version %d", r.key, version)
	}
	return nil
}
