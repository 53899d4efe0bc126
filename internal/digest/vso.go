package digest

import (
	"crypto/sha256"
	"hash"
)

// The parts of a blob as VSO hashes it.
const (
	vsoPage      = 64 << 10
	vsoBlock     = 2 << 20
	vsoHashSize  = sha256.Size + 1
	vsoSeed      = "VSO Content Identifier Seed"
	vsoAlgorithm = 0 // the last byte of every hash
)

// vsoHash computes VSO, the paged hash of BuildXL (its "Paged File Hashes"
// specification): pages of 64 KiB are hashed with SHA-256, the page hashes of a
// block of 2 MiB are hashed together, and the block hashes are chained from a
// seed, with a byte that marks the last.
//
// A full block stays open until more content comes, since only that tells
// that it is not the last.
type vsoHash struct {
	page     hash.Hash
	pageLen  int
	pages    [vsoBlock / vsoPage * sha256.Size]byte // hashes of the open block's pages
	pagesLen int                                    // in bytes
	chain    [sha256.Size]byte                      // of the finished blocks
	chained  bool                                   // whether there are any
}

func newVSOHash() *vsoHash { return &vsoHash{page: sha256.New()} }

func (v *vsoHash) Size() int      { return vsoHashSize }
func (v *vsoHash) BlockSize() int { return vsoPage }

func (v *vsoHash) Reset() {
	v.page.Reset()
	v.pageLen, v.pagesLen, v.chained = 0, 0, false
}

func (v *vsoHash) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if v.pagesLen == len(v.pages) {
			v.chain, v.chained = v.link(v.pages[:], false), true
			v.pagesLen = 0
		}
		part := p[:min(len(p), vsoPage-v.pageLen)]
		v.page.Write(part)
		v.pageLen += len(part)
		p = p[len(part):]
		if v.pageLen == vsoPage {
			v.page.Sum(v.pages[v.pagesLen:v.pagesLen])
			v.page.Reset()
			v.pageLen, v.pagesLen = 0, v.pagesLen+sha256.Size
		}
	}
	return n, nil
}

// Sum appends the hash of what was written. It does not change the state.
func (v *vsoHash) Sum(b []byte) []byte {
	pages := append(make([]byte, 0, len(v.pages)), v.pages[:v.pagesLen]...)
	if v.pageLen > 0 {
		pages = v.page.Sum(pages)
	}
	sum := v.link(pages, true)
	return append(append(b, sum[:]...), vsoAlgorithm)
}

// link returns the chain with a block of those page hashes put to its end.
func (v *vsoHash) link(pages []byte, last bool) [sha256.Size]byte {
	block := sha256.Sum256(pages)
	text := make([]byte, 0, len(vsoSeed)+sha256.Size+1)
	if v.chained {
		text = append(text, v.chain[:]...)
	} else {
		text = append(text, vsoSeed...)
	}
	text = append(text, block[:]...)
	if last {
		return sha256.Sum256(append(text, 1))
	}
	return sha256.Sum256(append(text, 0))
}
