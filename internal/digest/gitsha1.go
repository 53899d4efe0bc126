package digest

import (
	"crypto/sha1"
	"hash"
	"strconv"
)

// gitHash computes GITSHA1, by which Git names a blob: SHA-1 over the text
// "blob", a space, the content's size in decimal, a zero byte and the content.
type gitHash struct {
	hash.Hash

	size int64
}

func newGitHash(size int64) *gitHash {
	g := &gitHash{Hash: sha1.New(), size: size}
	g.Reset()
	return g
}

// Reset begins the hash of another blob of the same size.
func (g *gitHash) Reset() {
	g.Hash.Reset()
	header := append(make([]byte, 0, 32), "blob "...)
	g.Write(append(strconv.AppendInt(header, g.size, 10), 0))
}
