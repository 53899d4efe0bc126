package resourcename

import (
	"errors"
	"fmt"
	"math"

	"github.com/larder-build/larder/internal/digest"
)

const (
	readForm  = "{instance/}blobs/{function/}{hash}/{size} or {instance/}compressed-blobs/zstd/{function/}{hash}/{size}"
	writeForm = "{instance/}uploads/{uuid}/blobs/{function/}{hash}/{size} or {instance/}uploads/{uuid}/compressed-blobs/zstd/{function/}{hash}/{size}"
)

// ParseRead parses the resource name of a ByteStream.Read, as a string or as
// the bytes of a message. It allocates nothing but the instance name's string,
// and that only when name is bytes. Every error is the client's fault, quotes
// what is wrong and tells the form wanted.
func ParseRead[S string | []byte](name S) (Read, error) {
	var r Read
	instance, first, rest, err := cutInstance(name)
	if err == nil {
		err = parseBlob(&r, first, rest)
	}
	if err != nil {
		return Read{}, nameError(name, err, readForm)
	}
	r.Instance = string(instance)
	return r, nil
}

// ParseWrite parses the resource name of a ByteStream.Write or
// QueryWriteStatus, as ParseRead does.
func ParseWrite[S string | []byte](name S) (Write, error) {
	var w Write
	instance, first, rest, err := cutInstance(name)
	var id S
	if err == nil {
		id, rest, err = cutUploadID(first, rest)
	}
	if err == nil {
		segment, after, _ := cut(rest)
		err = parseBlob(&w.Read, keywordOf(segment), after)
	}
	if err != nil {
		return Write{}, nameError(name, err, writeForm)
	}
	w.Instance, w.UploadID = string(instance), string(id)
	return w, nil
}

func nameError[S string | []byte](name S, err error, form string) error {
	return fmt.Errorf("resource name %.400q: %w: want %s", string(name), err, form)
}

// cutInstance splits name at its first keyword.
func cutInstance[S string | []byte](name S) (instance S, first keyword, rest S, err error) {
	rest = name
	for more := true; more; {
		start := len(name) - len(rest)
		var segment S
		segment, rest, more = cut(rest)
		if first = keywordOf(segment); first != noKeyword {
			instance = name[:max(start-1, 0)]
			if start > 0 && len(instance) == 0 {
				return instance, first, rest, fmt.Errorf("empty path segment before %q", string(segment))
			}
			return instance, first, rest, checkInstance(instance)
		}
	}
	return instance, noKeyword, rest, errors.New(`no segment "blobs", "compressed-blobs" or "uploads"`)
}

// cutUploadID splits what follows "uploads/".
func cutUploadID[S string | []byte](first keyword, s S) (id, rest S, err error) {
	if first != uploads {
		return id, rest, errors.New(`no segment "uploads"`)
	}
	id, rest, _ = cut(s)
	switch {
	case len(id) == 0:
		err = errors.New("upload id is empty")
	case len(id) > MaxUploadIDLen:
		err = fmt.Errorf("upload id %.40q... has %d bytes, the most is %d", string(id), len(id), MaxUploadIDLen)
	case !printable(id):
		err = fmt.Errorf("upload id %q has control characters or is no UTF-8", string(id))
	}
	return id, rest, err
}

// parseBlob parses what follows the keyword "blobs" or "compressed-blobs".
func parseBlob[S string | []byte](r *Read, first keyword, rest S) (err error) {
	switch first {
	case blobs:
		r.Encoding = Identity
	case compressedBlobs:
		if r.Encoding, rest, err = cutCompressor(rest); err != nil {
			return err
		}
	default:
		return errors.New(`no segment "blobs" or "compressed-blobs" where it belongs`)
	}
	r.Digest, err = parseDigest(rest)
	return err
}

func cutCompressor[S string | []byte](s S) (c Compressor, rest S, err error) {
	segment, rest, _ := cut(s)
	if string(segment) == "zstd" {
		return Zstd, rest, nil
	}
	if string(segment) == "identity" {
		return Identity, rest, errors.New(`compressor "identity" has no compressed-blobs name: use "blobs"`)
	}
	return Identity, rest, fmt.Errorf(`compressor %.40q is not offered by this server: use "zstd", or "blobs" for none`, string(segment))
}

// parseDigest parses "{function/}{hash}/{size}" and ignores what follows the
// size (rule 9).
func parseDigest[S string | []byte](s S) (digest.Digest, error) {
	hash, rest, _ := cut(s)
	fn := functionOf(hash)
	if fn != digest.Unknown {
		if fn.Segment() == "" {
			return digest.Digest{}, fmt.Errorf("segment %q: resource names omit the digest function %v", string(hash), fn)
		}
		hash, rest, _ = cut(rest)
	}
	fn, err := digest.Resolve(fn, len(hash))
	if err != nil {
		return digest.Digest{}, fmt.Errorf("hash %.140q: %w", string(hash), err)
	}
	sizeText, _, _ := cut(rest)
	size, err := parseSize(sizeText)
	if err != nil {
		return digest.Digest{}, err
	}
	return digest.Parse(fn, hash, size)
}

// functionOf returns the digest function that a path segment names, Unknown
// for a hash.
func functionOf[S string | []byte](segment S) digest.Function {
	const longest = len("sha256tree")
	if len(segment) > longest {
		return digest.Unknown
	}
	if fn, ok := digest.FunctionOfSegment(string(segment)); ok {
		return fn
	}
	fn, _ := digest.FunctionOfName(string(segment))
	return fn
}

// parseSize parses decimal digits.
func parseSize[S string | []byte](s S) (int64, error) {
	var n int64
	for i := range len(s) {
		c := int64(s[i]) - '0'
		if c < 0 || c > 9 || n > (math.MaxInt64-c)/10 {
			return 0, fmt.Errorf("size %.40q is not a number from 0 to %d", string(s), int64(math.MaxInt64))
		}
		n = n*10 + c
	}
	if len(s) == 0 {
		return 0, errors.New("size is missing")
	}
	return n, nil
}
