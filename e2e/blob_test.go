package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
)

// blob is content that is made again from its number when it is compared, so
// that a test can remember many.
type blob struct {
	number uint64
	size   int
}

// data returns the content: the number, then noise, of which every second blob
// repeats a short piece and so compresses.
func (b blob) data() []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], b.number)
	data := make([]byte, b.size)
	noise := rand.NewChaCha8(seed)
	if b.number%2 == 0 {
		_, _ = noise.Read(data) // it never fails
		return data
	}
	piece := make([]byte, 100)
	_, _ = noise.Read(piece) // it never fails
	for i := 0; i < len(data); i += len(piece) {
		copy(data[i:], piece)
	}
	return data
}

func (b blob) digest() *repb.Digest { return digestOf(b.data()) }

func digestOf(data []byte) *repb.Digest {
	sum := sha256.Sum256(data)
	return &repb.Digest{Hash: hex.EncodeToString(sum[:]), SizeBytes: int64(len(data))}
}
