package main

import (
	"fmt"
	"math"
	"math/big"
	"strings"
)

// gibibytes is a size in bytes, more than 0, that is written in GiB where it
// has no unit, as bazel-remote's --max_size is.
type gibibytes int64

// byteSize is a size in bytes, more than 0, written in bytes where it has no
// unit.
type byteSize int64

// unlimited is the size that limits nothing, as bazel-remote writes it.
const unlimited = math.MaxInt64

// optionalSize is a byteSize, or 0 for none.
type optionalSize int64

// UnmarshalText parses a size.
func (s *optionalSize) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*s = 0
		return nil
	}
	return (*byteSize)(s).UnmarshalText(text)
}

// String writes what UnmarshalText reads.
func (s optionalSize) String() string {
	if s == 0 {
		return "0"
	}
	return formatSize(int64(s))
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// UnmarshalText parses a size.
func (s *gibibytes) UnmarshalText(text []byte) error {
	n, err := parseSize(string(text), gib)
	*s = gibibytes(n)
	return err
}

// String writes what UnmarshalText reads.
func (s gibibytes) String() string { return formatSize(int64(s)) }

// UnmarshalText parses a size.
func (s *byteSize) UnmarshalText(text []byte) error {
	n, err := parseSize(string(text), 1)
	*s = byteSize(n)
	return err
}

// String writes what UnmarshalText reads.
func (s byteSize) String() string { return formatSize(int64(s)) }

// sizeUnits is ordered so that no unit comes after one that it ends in.
func sizeUnits() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{
		{"KiB", kib}, {"MiB", mib}, {"GiB", gib}, {"TiB", gib * kib}, {"PiB", gib * mib},
		{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"PB", 1e15},
		{"B", 1},
	}
}

// maxSizeText bounds the work of parsing a number.
const maxSizeText = 40

// parseSize parses a number, with an optional unit, of bytes. A number without
// one counts unit bytes. Fractions of a byte are dropped.
func parseSize(text string, unit int64) (int64, error) {
	number := strings.TrimSpace(text)
	for _, u := range sizeUnits() {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	if number == "" || len(number) > maxSizeText || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a size: write a positive number such as 10 or 0.5, or one with a unit such as 500MiB or 2GiB", text)
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, fmt.Errorf("%q is not a size: %q is not a number", text, number)
	}
	r.Mul(r, new(big.Rat).SetInt64(unit))
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !n.IsInt64() {
		return 0, fmt.Errorf("%q is too large: the most is %d bytes", text, int64(math.MaxInt64))
	}
	if n.Sign() == 0 {
		return 0, fmt.Errorf("%q is no size: it must be more than 0 bytes", text)
	}
	return n.Int64(), nil
}

// formatSize writes the size with the largest binary unit that keeps it whole.
func formatSize(n int64) string {
	for _, u := range []string{"PiB", "TiB", "GiB", "MiB", "KiB"} {
		for _, known := range sizeUnits() {
			if known.name == u && n > 0 && n%known.bytes == 0 {
				return fmt.Sprintf("%d%s", n/known.bytes, u)
			}
		}
	}
	return fmt.Sprintf("%dB", n)
}

// approxSize writes the size for a person: "9.3 GiB".
func approxSize(n int64) string {
	unit, name := int64(1), "B"
	for _, u := range []struct {
		bytes int64
		name  string
	}{{kib, "KiB"}, {mib, "MiB"}, {gib, "GiB"}, {gib * kib, "TiB"}} {
		if n >= u.bytes {
			unit, name = u.bytes, u.name
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/float64(unit)), ".0") + " " + name
}
