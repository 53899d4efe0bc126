package digest

import (
	"fmt"
	"strings"
)

// Function is a digest function. The values are those of the protocol's
// DigestFunction.Value enum, so a conversion is a cast.
type Function uint8

// The digest functions the protocol names. Supported tells which of them this
// build computes; the others are known by name only, so that they can be
// refused by name.
const (
	Unknown    Function = 0
	SHA256     Function = 1
	SHA1       Function = 2
	MD5        Function = 3
	VSO        Function = 4
	SHA384     Function = 5
	SHA512     Function = 6
	Murmur3    Function = 7
	SHA256Tree Function = 8
	BLAKE3     Function = 9
	GITSHA1    Function = 10

	functionCount = 11
)

// MaxHashSize is the length in bytes of the longest hash of any function.
const MaxHashSize = 64

type functionInfo struct {
	name string
	// hashSize is the length of a hash in bytes.
	hashSize int
	// segment is the path segment that names the function in a resource name;
	// empty for the functions whose segment the protocol wants omitted
	// (remote_execution.proto, "uploads" resource names).
	segment string
}

var functions = [functionCount]functionInfo{
	SHA256:     {"SHA256", 32, ""},
	SHA1:       {"SHA1", 20, ""},
	MD5:        {"MD5", 16, ""},
	VSO:        {"VSO", 33, ""},
	SHA384:     {"SHA384", 48, ""},
	SHA512:     {"SHA512", 64, ""},
	Murmur3:    {"MURMUR3", 16, ""},
	SHA256Tree: {"SHA256TREE", 32, "sha256tree"},
	BLAKE3:     {"BLAKE3", 32, "blake3"},
	GITSHA1:    {"GITSHA1", 20, "gitsha1"},
}

// String returns the protocol's name of the function, such as "SHA256".
func (f Function) String() string {
	if f == Unknown {
		return "UNKNOWN"
	}
	if f >= functionCount {
		return fmt.Sprintf("number %d", uint8(f))
	}
	return functions[f].name
}

// HashSize returns the length of the function's hashes in bytes, 0 for a
// function the protocol does not name.
func (f Function) HashSize() int {
	if f >= functionCount {
		return 0
	}
	return functions[f].hashSize
}

// Segment returns the lower-case path segment that names the function in a
// ByteStream resource name, or "" where the protocol wants it omitted.
func (f Function) Segment() string {
	if f >= functionCount {
		return ""
	}
	return functions[f].segment
}

// FunctionOfSegment returns the function that a resource name's path segment
// names. It knows only those that are written in resource names.
func FunctionOfSegment(segment string) (Function, bool) {
	for f, info := range functions {
		if info.segment != "" && info.segment == segment {
			return Function(f), true
		}
	}
	return Unknown, false
}

// FunctionOfName returns the function of that name, in any case.
func FunctionOfName(name string) (Function, bool) {
	for f, info := range functions {
		if info.name != "" && strings.EqualFold(info.name, name) {
			return Function(f), true
		}
	}
	return Unknown, false
}

// Infer returns the function of a hash with that many hex digits when the
// client named none. Only functions whose segment is omitted from resource
// names can be inferred, and only those that are supported
// (remote_execution.proto, digest_function of each request: "the server SHOULD
// infer the digest function using the length of the digest hash and the
// digest functions announced in the server's capabilities").
func Infer(hexLen int) (Function, error) {
	for f, info := range functions {
		if info.hashSize > 0 && info.segment == "" && info.hashSize*2 == hexLen && Function(f).Supported() {
			return Function(f), nil
		}
	}
	return Unknown, fmt.Errorf("no digest function of this server has hashes of %d hex digits: want one of %s", hexLen, supportedLengths())
}

// Resolve returns the function of a request: the one it names if it names
// one, else the one inferred from the length of a hash in it. It fails when
// the function is not supported here.
func Resolve(named Function, hexLen int) (Function, error) {
	if named == Unknown {
		return Infer(hexLen)
	}
	if !named.Supported() {
		return Unknown, fmt.Errorf("digest function %v is not offered by this server: use one of %s", named, supportedNames())
	}
	return named, nil
}

func supportedNames() string {
	var names []string
	for _, f := range Supported() {
		names = append(names, f.String())
	}
	return strings.Join(names, ", ")
}

func supportedLengths() string {
	var s []string
	for _, f := range Supported() {
		if f.Segment() == "" {
			s = append(s, fmt.Sprintf("%d (%v)", f.HashSize()*2, f))
		}
	}
	return strings.Join(s, ", ")
}
