package merkle

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/encoding/protowire"
)

// readTree collects what a TreeReader yields as "field:length" words.
func readTree(r io.Reader, size int64, sorted bool) (string, error) {
	var t TreeReader
	t.Reset(r, size, sorted)
	var words []string
	for {
		dir, err := t.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(words, " "), nil
		}
		if err != nil {
			return strings.Join(words, " "), err
		}
		words = append(words, t.Field()+":"+string(dir))
	}
}

func record(tag byte, content string) string {
	return string(tag) + string(protowire.AppendString(nil, content))
}

// TestRule33_TreeStream checks that any Tree is read as a stream, and that the
// encoding of a topologically sorted one is insisted on.
func TestRule33_TreeStream(t *testing.T) {
	t.Parallel()
	unknown := "\x18\x96\x01" + "\x25abcd" + "\x29abcdefgh" + "\x32\x03xyz"
	for name, tt := range map[string]struct {
		tree      string
		want      string
		sortedErr bool
		err       bool
	}{
		"no bytes":          {"", "", false, false},
		"root only":         {record(tagRoot, ""), "root:", false, false},
		"root and children": {record(tagRoot, "R") + record(tagChildren, "a") + record(tagChildren, "b"), "root:R children[0]:a children[1]:b", false, false},
		"children first":    {record(tagChildren, "a") + record(tagRoot, "R"), "children[0]:a root:R", true, false},
		"root between":      {record(tagRoot, "R") + record(tagRoot, "S"), "", true, true},
		"unknown fields":    {record(tagRoot, "R") + unknown + record(tagChildren, "a"), "root:R children[0]:a", true, false},
		"long form tag":     {"\x8a\x00" + "\x01R", "root:R", false, false},
		"truncated length":  {"\x0a\xff", "", true, true},
		"truncated content": {"\x0a\x05abc", "", true, true},
		"huge length":       {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "", true, true},
		"overlong varint":   {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "", true, true},
		"group":             {"\x0b\x0c", "", true, true},
		"field 0":           {"\x02\x01a", "", true, true},
		"truncated unknown": {"\x1a\x09a", "", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sorted := range []bool{false, true} {
				wantErr := tt.err || sorted && tt.sortedErr
				got, err := readTree(iotest.OneByteReader(strings.NewReader(tt.tree)), int64(len(tt.tree)), sorted)
				if (err != nil) != wantErr || err == nil && got != tt.want {
					t.Errorf("sorted %v: got %q, %v; want %q, error %v", sorted, got, err, tt.want, wantErr)
				}
				if e := new(Error); err != nil && !errors.As(err, &e) {
					t.Errorf("error is a %T, want *Error", err)
				}
			}
		})
	}
}

// TestTreeReadError checks that a failure of the store is not taken for a bad
// tree, which would drop a good action result.
func TestTreeReadError(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	tree := record(tagRoot, "R") + record(tagChildren, strings.Repeat("x", 10000))
	for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 5000} {
		r := io.MultiReader(strings.NewReader(tree[:n]), iotest.ErrReader(boom))
		if _, err := readTree(r, int64(len(tree)), true); !errors.Is(err, boom) {
			t.Errorf("after %d bytes: %v, want boom", n, err)
		}
	}
}

func TestTreeReaderKeepsOneDirectory(t *testing.T) {
	t.Parallel()
	dir := &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: pbDigest("f")}}}
	child := record(tagChildren, string(marshal(t, dir)))
	tree := record(tagRoot, "") + strings.Repeat(child, 1000)
	var r TreeReader
	run := func() {
		r.Reset(strings.NewReader(tree), int64(len(tree)), true)
		for {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if cap(r.buf) > 4096 {
		t.Errorf("a tree of small directories needed a buffer of %d bytes", cap(r.buf))
	}
}
