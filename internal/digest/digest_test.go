package digest

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, fn := range Supported() {
		want := Of(fn, []byte("larder"))
		got, err := Parse(fn, want.Hex(), 6)
		if err != nil || got != want {
			t.Errorf("Parse(%v, %s, 6) = %v, %v", fn, want.Hex(), got, err)
		}
		got, err = Parse(fn, []byte(want.Hex()), 6)
		if err != nil || got != want {
			t.Errorf("Parse(%v, bytes of %s, 6) = %v, %v", fn, want.Hex(), got, err)
		}
		if raw, err := New(fn, want.Hash(), 6); err != nil || raw != want {
			t.Errorf("New(%v, %x, 6) = %v, %v", fn, want.Hash(), raw, err)
		}
	}
}

// Rules 2 and 3: the size is part of the digest, and a hash is lower-case hex
// of full length.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	h := Of(SHA256, nil).Hex()
	for _, tt := range []struct {
		fn   Function
		hash string
		size int64
		want string
	}{
		{SHA256, strings.ToUpper(h), 0, "lower-case"},
		{SHA256, h[:63], 0, "63 characters"},
		{SHA256, h + "0", 0, "65 characters"},
		{SHA256, "", 0, "0 characters"},
		{SHA256, h[:63] + "g", 0, "lower-case"},
		{SHA256, h[:62] + "é", 0, "lower-case"},
		{SHA256, h, -1, "size_bytes -1"},
		{SHA1, h, 0, "SHA1"},
		{Unknown, h, 0, "UNKNOWN"},
		{Function(200), h, 0, "200"},
	} {
		d, err := Parse(tt.fn, tt.hash, tt.size)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%v, %q, %d) = %v, %v, want an error with %q", tt.fn, tt.hash, tt.size, d, err, tt.want)
		}
		if d.Valid() {
			t.Errorf("Parse(%v, %q, %d) failed with a valid digest", tt.fn, tt.hash, tt.size)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if d, err := New(SHA256, make([]byte, 31), 0); err == nil {
		t.Errorf("New took a SHA256 hash of 31 bytes: %v", d)
	}
	if d, err := New(SHA256, make([]byte, 32), -2); err == nil {
		t.Errorf("New took size -2: %v", d)
	}
}

func TestParseHashLeavesSizeUnknown(t *testing.T) {
	t.Parallel()
	d, err := ParseHash(SHA256, Empty(SHA256).Hex())
	if err != nil || d.Size() != SizeUnknown || !d.IsEmptyBlob() {
		t.Errorf("ParseHash = %v, %v, want the empty blob of unknown size", d, err)
	}
	if d.WithSize(0) != Empty(SHA256) {
		t.Errorf("WithSize(0) = %v, want %v", d.WithSize(0), Empty(SHA256))
	}
}

// Rules 7 and 8: a function is inferred from the hash's length only among
// those whose name is omitted, and only if it is supported.
func TestResolve(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		named  Function
		hexLen int
		want   Function // Unknown: an error
	}{
		{Unknown, 64, SHA256},
		{Unknown, 40, SHA1},
		{Unknown, 32, MD5},
		{Unknown, 96, SHA384},
		{Unknown, 128, SHA512},
		{Unknown, 66, VSO},
		{Unknown, 0, Unknown},
		{Unknown, 63, Unknown},
		{BLAKE3, 64, BLAKE3},
		{SHA256Tree, 64, SHA256Tree},
		{GITSHA1, 40, GITSHA1},
		{SHA256, 1, SHA256}, // Parse judges the hash
		{Murmur3, 32, Unknown},
		{Function(77), 64, Unknown},
	} {
		got, err := Resolve(tt.named, tt.hexLen)
		if got != tt.want || (err == nil) != (tt.want != Unknown) {
			t.Errorf("Resolve(%v, %d) = %v, %v, want %v", tt.named, tt.hexLen, got, err, tt.want)
		}
	}
}

func TestOfHexLen(t *testing.T) {
	t.Parallel()
	for hexLen, want := range map[int][]Function{
		64: {SHA256, BLAKE3, SHA256Tree},
		40: {SHA1, GITSHA1},
		32: {MD5},
		66: {VSO},
		63: nil,
	} {
		if got := OfHexLen(hexLen); !slices.Equal(got, want) {
			t.Errorf("OfHexLen(%d) = %v, want %v", hexLen, got, want)
		}
	}
}

func TestFunctionNames(t *testing.T) {
	t.Parallel()
	for f := Function(1); f < functionCount; f++ {
		if got, ok := FunctionOfName(strings.ToLower(f.String())); !ok || got != f {
			t.Errorf("FunctionOfName(%q) = %v, %v", strings.ToLower(f.String()), got, ok)
		}
		if s := f.Segment(); s != "" {
			if got, ok := FunctionOfSegment(s); !ok || got != f {
				t.Errorf("FunctionOfSegment(%q) = %v, %v", s, got, ok)
			}
		}
		if f.Supported() != slices.Contains(Supported(), f) {
			t.Errorf("%v: Supported() and the list of supported functions disagree", f)
		}
	}
	for _, name := range []string{"", "unknown", "sha-256"} {
		if f, ok := FunctionOfName(name); ok {
			t.Errorf("FunctionOfName(%q) = %v", name, f)
		}
	}
	if f, ok := FunctionOfSegment("sha256"); ok {
		t.Errorf("FunctionOfSegment(sha256) = %v: rule 7 wants it omitted", f)
	}
	if Unknown.Supported() || Function(99).Supported() || Function(99).HashSize() != 0 {
		t.Error("a function that the protocol does not name is supported or has hashes")
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	if got, want := Empty(SHA256).String(), Empty(SHA256).Hex()+"/0"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	if got, want := Empty(BLAKE3).String(), "blake3/"+Empty(BLAKE3).Hex()+"/0"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, fn := range Supported() {
		f.Add(uint8(fn), Of(fn, []byte("x")).Hex(), int64(1))
	}
	f.Fuzz(func(t *testing.T, fn uint8, hash string, size int64) {
		d, err := Parse(Function(fn), hash, size)
		if err != nil {
			if d.Valid() {
				t.Errorf("Parse(%d, %q, %d) failed with a valid digest", fn, hash, size)
			}
			return
		}
		if d.Hex() != hash || d.Size() != size || d.Function() != Function(fn) {
			t.Errorf("Parse(%d, %q, %d) = %v", fn, hash, size, d)
		}
	})
}
