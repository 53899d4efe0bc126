package httpcache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-build/larder/server/blobstore"
)

// qualities are the values of an Accept or Accept-Encoding header and their
// weights, from 0 (not acceptable) to 1000 (RFC 9110, section 12.4.2).
type qualities map[string]int

// parseQualities reads a header's lines. What it cannot read it skips.
func parseQualities(lines []string) qualities {
	q := make(qualities)
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
				q[name] = weight(params)
			}
		}
	}
	return q
}

// weight returns the "q" among parameters, 1000 if there is none.
func weight(params string) int {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || f < 0 || f > 1 {
			return 0
		}
		return int(f * 1000)
	}
	return 1000
}

// mattersHere tells whether an Accept-Encoding line can lead to anything but
// identity: one that only lists encodings that are not served here cannot.
func mattersHere(line string) bool {
	line = strings.ToLower(line)
	return strings.Contains(line, "zstd") || strings.Contains(line, "identity") || strings.Contains(line, "*")
}

// acceptedEncoding chooses the form of the response's body. A client that lists
// zstd gets it unless it prefers identity; one that says nothing, or "*", gets
// identity.
func acceptedEncoding(r *http.Request) (blobstore.Encoding, error) {
	lines := r.Header.Values("Accept-Encoding")
	if !slices.ContainsFunc(lines, mattersHere) {
		return blobstore.Identity, nil
	}
	q := parseQualities(lines)
	other, hasOther := q["*"]
	zstd, namesZstd := q["zstd"]
	identity, namesIdentity := q["identity"]
	switch {
	case namesIdentity:
	case hasOther && other == 0:
		identity = 0
	case hasOther || !namesZstd || zstd == 0:
		identity = 1000
	default:
		identity = 1 // acceptable, but what is listed comes first
	}
	if !namesZstd {
		zstd = other
		if identity > 0 {
			zstd = 0
		}
	}
	switch {
	case zstd > 0 && zstd >= identity:
		return blobstore.Zstd, nil
	case identity > 0:
		return blobstore.Identity, nil
	}
	return 0, refuse(http.StatusNotAcceptable, "Accept-Encoding %.100q leaves neither identity nor zstd", strings.Join(lines, ", "))
}

// acceptsIdentity reports whether the client takes the bytes as they are.
func acceptsIdentity(r *http.Request) bool {
	q := parseQualities(r.Header.Values("Accept-Encoding"))
	if identity, ok := q["identity"]; ok {
		return identity > 0
	}
	other, ok := q["*"]
	return !ok || other > 0
}

// acceptsJSON reports whether the client wants an action result as JSON: it
// names application/json and no other type it likes better.
func acceptsJSON(r *http.Request) bool {
	q := parseQualities(r.Header.Values("Accept"))
	json := q["application/json"]
	for _, binary := range []string{"application/octet-stream", "application/x-protobuf", "application/protobuf"} {
		if q[binary] > json {
			return false
		}
	}
	return json > 0
}

// byteRange is a part of a blob in bytes.
type byteRange struct{ offset, length int64 }

func (b byteRange) contentRange(size int64) string {
	return "bytes " + strconv.FormatInt(b.offset, 10) + "-" + strconv.FormatInt(b.offset+b.length-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// parseRange reads a Range header for a blob of that size. What is not one
// range of bytes is ignored, as RFC 9110, section 14.2, allows: ok is false. A
// length of 0 says that the range has no byte of the blob.
func parseRange(header string, size int64) (b byteRange, ok bool) {
	unit, spec, _ := strings.Cut(header, "=")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") || !dash || strings.Contains(spec, ",") {
		return b, false
	}
	from, hasFrom := parsePosition(first)
	to, hasTo := parsePosition(last)
	switch {
	case !hasFrom && first != "", !hasTo && last != "", !hasFrom && !hasTo, hasFrom && hasTo && to < from:
		return b, false
	case !hasFrom: // the last bytes
		n := min(to, size)
		return byteRange{size - n, n}, true
	case from >= size:
		return byteRange{offset: from}, true
	case !hasTo:
		to = size - 1
	}
	return byteRange{from, min(to, size-1) - from + 1}, true
}

// parsePosition reads digits. A number past the largest stands for that.
func parsePosition(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil && !strings.Contains(err.Error(), strconv.ErrRange.Error()) {
		return 0, false
	}
	return int64(n), true
}

// matches reports whether an If-None-Match or If-Range header names the entity
// tag.
func matches(header, etag string) bool {
	if header == "" || etag == "" {
		return false
	}
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
