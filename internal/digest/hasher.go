package digest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"
	"sync"

	"github.com/zeebo/blake3"
)

// supported lists the functions this build computes, the preferred first.
// MURMUR3 is not among them: it is not cryptographic, so that a hash of it
// proves nothing about the content.
var supported = []Function{SHA256, BLAKE3, SHA1, SHA384, SHA512, MD5, SHA256Tree, GITSHA1, VSO}

// Supported returns the functions this build computes, the preferred first.
func Supported() []Function { return slices.Clone(supported) }

// Supported reports whether this build computes the function.
func (f Function) Supported() bool { return f != Murmur3 && f != Unknown && f < functionCount }

// OfHexLen returns the supported functions whose hashes have that many hex
// digits. The one that Infer returns comes first, if there is one. It is for
// clients that neither name the function nor choose one of those that can be
// inferred, as in an HTTP request for /cas/<hash>.
func OfHexLen(hexLen int) []Function {
	var fns []Function
	for _, f := range supported {
		if f.HashSize()*2 != hexLen {
			continue
		}
		if f.Segment() == "" {
			fns = slices.Insert(fns, 0, f)
		} else {
			fns = append(fns, f)
		}
	}
	return fns
}

// NewHash returns a running hash of the function. The function must be
// supported. Size is the content's size in bytes, which GITSHA1 hashes before
// the content and the others ignore; so only GITSHA1 needs it to be known.
func (f Function) NewHash(size int64) hash.Hash {
	switch f {
	case SHA256:
		return sha256.New()
	case BLAKE3:
		return blake3.New()
	case SHA1:
		return sha1.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	case MD5:
		return md5.New()
	case SHA256Tree:
		return newTreeHash()
	case GITSHA1:
		return newGitHash(size)
	case VSO:
		return newVSOHash()
	}
	panic("digest: NewHash of unsupported " + f.String())
}

// pools keeps running hashes for GetHash: one of BLAKE3 has 11 KiB, and
// clearing them takes longer than hashing a small blob.
var pools [functionCount]sync.Pool

// GetHash is NewHash with a running hash that another may have used. Give it
// back with PutHash; not doing so only costs the reuse.
func (f Function) GetHash(size int64) hash.Hash {
	h, ok := pools[f].Get().(hash.Hash)
	if !ok {
		return f.NewHash(size)
	}
	if g, ok := h.(*gitHash); ok {
		g.size = size
	}
	h.Reset()
	return h
}

// PutHash gives back what GetHash of the same function returned. The caller
// must not use h any more.
func (f Function) PutHash(h hash.Hash) { pools[f].Put(h) }

// Of returns the digest of data. The function must be supported. For the
// functions of a single pass (SHA256, BLAKE3, SHA1, SHA384, SHA512, MD5) it
// allocates nothing.
func Of(fn Function, data []byte) Digest {
	d := Digest{fn: fn, size: int64(len(data))}
	switch fn {
	case SHA256:
		*(*[sha256.Size]byte)(d.hash[:]) = sha256.Sum256(data)
	case BLAKE3:
		*(*[32]byte)(d.hash[:]) = blake3.Sum256(data)
	case SHA1:
		*(*[sha1.Size]byte)(d.hash[:]) = sha1.Sum(data)
	case SHA384:
		*(*[sha512.Size384]byte)(d.hash[:]) = sha512.Sum384(data)
	case SHA512:
		*(*[sha512.Size]byte)(d.hash[:]) = sha512.Sum512(data)
	case MD5:
		*(*[md5.Size]byte)(d.hash[:]) = md5.Sum(data)
	default:
		h := fn.GetHash(d.size)
		h.Write(data)
		copy(d.hash[:], h.Sum(nil))
		fn.PutHash(h)
	}
	return d
}

// Empty returns the digest of the blob of no bytes. The function must be
// supported.
func Empty(fn Function) Digest { return empty[fn] }

var empty = func() (t [functionCount]Digest) {
	for _, f := range supported {
		t[f] = Of(f, nil)
	}
	return t
}()
