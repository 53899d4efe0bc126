package httpcache

import (
	"slices"
	"strings"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/resourcename"
	"github.com/larder-build/larder/server/blobstore"
)

// pathForm is what a path must look like, for messages.
const pathForm = "/{instance/}cas/{function/}{hash} or /{instance/}ac/{function/}{hash}"

// target is what a request's path names.
type target struct {
	kind     blobstore.Kind
	instance string
	// digests are what the hash may stand for, of unknown size, the likeliest
	// first: at least one, and more than one only where the path names no digest
	// function and several have hashes of that length.
	digests []digest.Digest
}

// parsePath reads a path from its end, so that an instance name may have
// segments called "cas" and "ac".
func parsePath(path string) (target, error) {
	var t target
	rest, hash := cutLast(strings.TrimPrefix(path, "/"))
	rest, segment := cutLast(rest)
	named, isFunction := digest.FunctionOfName(segment)
	if isFunction {
		rest, segment = cutLast(rest)
	}
	switch segment {
	case "cas":
		t.kind = blobstore.CAS
	case "ac":
		t.kind = blobstore.AC
	default:
		return target{}, badRequest("path %.300q: want %s", path, pathForm)
	}
	t.instance = rest
	if err := resourcename.CheckInstance(rest); err != nil {
		return target{}, badRequest("path %.300q: %w", path, err)
	}
	var err error
	if t.digests, err = parseHash(named, hash); err != nil {
		return target{}, badRequest("path %.300q: %w: want %s", path, err, pathForm)
	}
	return t, nil
}

// parseHash returns the digests that a hash may stand for.
func parseHash(named digest.Function, hash string) ([]digest.Digest, error) {
	first, err := digest.Resolve(named, len(hash))
	if err != nil {
		return nil, err
	}
	fns := []digest.Function{first}
	if named == digest.Unknown {
		fns = unnamed(len(hash))
	}
	ds := make([]digest.Digest, len(fns))
	for i, fn := range fns {
		if ds[i], err = digest.ParseHash(fn, hash); err != nil {
			return nil, err
		}
	}
	return ds, nil
}

// unnamed returns the functions that a client may mean by a hash of that many
// hex digits whose function it does not name. Bazel names none, whatever its
// --digest_function is. The content proves the function, except SHA256TREE's:
// up to 1 KiB its hashes are those of SHA256, so it has to be named.
func unnamed(hexLen int) []digest.Function {
	return slices.DeleteFunc(digest.OfHexLen(hexLen), func(fn digest.Function) bool {
		return fn == digest.SHA256Tree
	})
}

// cutLast splits a path at its last slash.
func cutLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}
