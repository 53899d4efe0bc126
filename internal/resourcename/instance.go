package resourcename

import (
	"fmt"
	"unicode/utf8"
)

// MaxInstanceLen is the length in bytes of the longest instance name.
const MaxInstanceLen = 255

// CheckInstance tells why name cannot be an instance name: it is too long, is
// no UTF-8 or has control characters, or one of its segments is empty, "." or
// "..", or a keyword of resource names (rule 6). The empty name is fine.
func CheckInstance(name string) error { return checkInstance(name) }

func checkInstance[S string | []byte](name S) error {
	if len(name) == 0 {
		return nil
	}
	if len(name) > MaxInstanceLen {
		return fmt.Errorf("instance name %.80q... has %d bytes, the most is %d", string(name), len(name), MaxInstanceLen)
	}
	if !printable(name) {
		return fmt.Errorf("instance name %q has control characters or is no UTF-8", string(name))
	}
	for segment, rest, more := cut(name); ; segment, rest, more = cut(rest) {
		if err := checkSegment(name, segment); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

func checkSegment[S string | []byte](name, segment S) error {
	switch {
	case len(segment) == 0:
		return fmt.Errorf("instance name %q has an empty path segment", string(name))
	case string(segment) == "." || string(segment) == "..":
		return fmt.Errorf("instance name %q has the path segment %q", string(name), string(segment))
	case keywordOf(segment) != noKeyword:
		return fmt.Errorf("instance name %q has the reserved path segment %q", string(name), string(segment))
	}
	return nil
}

// printable reports whether s is UTF-8 without ASCII control characters.
func printable[S string | []byte](s S) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	return ascii || utf8.ValidString(string(s))
}

// keyword is one of the words that cannot be in an instance name.
type keyword uint8

const (
	noKeyword keyword = iota
	blobs
	compressedBlobs
	uploads
	otherKeyword
)

func keywordOf[S string | []byte](segment S) keyword {
	switch len(segment) {
	case len("blobs"):
		if string(segment) == "blobs" {
			return blobs
		}
	case len("uploads"): // and "actions"
		if string(segment) == "uploads" {
			return uploads
		}
		if string(segment) == "actions" {
			return otherKeyword
		}
	case len("operations"):
		if string(segment) == "operations" {
			return otherKeyword
		}
	case len("capabilities"):
		if string(segment) == "capabilities" {
			return otherKeyword
		}
	case len("actionResults"):
		if string(segment) == "actionResults" {
			return otherKeyword
		}
	case len("compressed-blobs"):
		if string(segment) == "compressed-blobs" {
			return compressedBlobs
		}
	}
	return noKeyword
}

// cut splits s at its first slash. More tells whether there was one.
func cut[S string | []byte](s S) (segment, rest S, more bool) {
	for i := range len(s) {
		if s[i] == '/' {
			return s[:i], s[i+1:], true
		}
	}
	return s, s[len(s):], false
}
