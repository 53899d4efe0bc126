package digest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// Supported returns the functions this build computes, the preferred first.
func Supported() []Function {
	return []Function{SHA256, SHA1, SHA384, SHA512, MD5}
}

// Supported reports whether this build computes the function.
func (f Function) Supported() bool {
	switch f {
	case SHA256, SHA1, SHA384, SHA512, MD5:
		return true
	}
	return false
}

// NewHash returns a running hash of the function for a blob of the given size,
// which GITSHA1 hashes before the content. The function must be supported.
func (f Function) NewHash(size int64) hash.Hash {
	switch f {
	case SHA256:
		return sha256.New()
	case SHA1:
		return sha1.New()
	case MD5:
		return md5.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	}
	panic("digest: NewHash of unsupported " + f.String())
}

// Of returns the digest of data. The function must be supported.
func Of(fn Function, data []byte) Digest {
	d := Digest{fn: fn, size: int64(len(data))}
	if fn == SHA256 {
		sum := sha256.Sum256(data)
		copy(d.hash[:], sum[:])
		return d
	}
	h := fn.NewHash(d.size)
	h.Write(data)
	h.Sum(d.hash[:0])
	return d
}

// Empty returns the digest of the blob of no bytes.
func Empty(fn Function) Digest { return empty[fn] }

var empty = func() (t [functionCount]Digest) {
	for _, f := range Supported() {
		t[f] = Of(f, nil)
	}
	return t
}()
