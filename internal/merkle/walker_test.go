package merkle

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/larder-build/larder/internal/digest"
)

// forest is directories by digest.
type forest map[digest.Digest][]byte

func (f forest) add(tb testing.TB, tag string, children ...digest.Digest) digest.Digest {
	tb.Helper()
	dir := &repb.Directory{Files: []*repb.FileNode{{Name: tag, Digest: pbDigest(tag)}}}
	for i, c := range children {
		dir.Directories = append(dir.Directories, &repb.DirectoryNode{
			Name: fmt.Sprint("d", i), Digest: &repb.Digest{Hash: c.Hex(), SizeBytes: c.Size()},
		})
	}
	msg := marshal(tb, dir)
	d := digest.Of(digest.SHA256, msg)
	f[d] = msg
	return d
}

func (f forest) read(d digest.Digest) ([]byte, error) {
	if msg, ok := f[d]; ok {
		return msg, nil
	}
	return nil, ErrMissing
}

// walk returns the tags of the directories visited, and the path after each.
func walk(t *testing.T, w *Walker) (tags []string, paths [][]int) {
	t.Helper()
	for {
		_, dir, err := w.Next()
		if errors.Is(err, io.EOF) {
			return tags, paths
		}
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, string(dir.Files[0].Name))
		paths = append(paths, w.Path())
	}
}

func TestWalkerVisitsEachOnce(t *testing.T) {
	t.Parallel()
	f := forest{}
	leaf := f.add(t, "leaf")
	left, right := f.add(t, "left", leaf), f.add(t, "right", leaf, leaf)
	root := f.add(t, "root", left, right, left)
	tags, _ := walk(t, NewWalker(root, f.read))
	if got := strings.Join(tags, " "); got != "root left leaf right" {
		t.Errorf("visited %q", got)
	}
	delete(f, left)
	tags, _ = walk(t, NewWalker(root, f.read))
	if got := strings.Join(tags, " "); got != "root right leaf" {
		t.Errorf("with one missing, visited %q", got)
	}
}

// TestWalkerDoubling walks a tree in which every directory holds the next one
// twice: 60 directories, 2^60 paths.
func TestWalkerDoubling(t *testing.T) {
	t.Parallel()
	f := forest{}
	d := f.add(t, "0")
	for i := range 59 {
		d = f.add(t, fmt.Sprint(i+1), d, d)
	}
	if tags, _ := walk(t, NewWalker(d, f.read)); len(tags) != 60 {
		t.Errorf("visited %d directories, want 60", len(tags))
	}
}

func TestWalkerResume(t *testing.T) {
	t.Parallel()
	f := forest{}
	var tops []digest.Digest
	for i := range 3 {
		var mids []digest.Digest
		for j := range 3 {
			mids = append(mids, f.add(t, fmt.Sprintf("%d%d", i, j), f.add(t, fmt.Sprintf("%d%d0", i, j))))
		}
		tops = append(tops, f.add(t, fmt.Sprint(i), mids...))
	}
	root := f.add(t, "root", tops...)
	all, paths := walk(t, NewWalker(root, f.read))
	for i, path := range paths {
		w := NewWalker(root, f.read)
		if err := w.Resume(path); err != nil {
			t.Fatal(err)
		}
		if rest, _ := walk(t, w); !slices.Equal(rest, all[i+1:]) {
			t.Errorf("after %s, at %v: %v, want %v", all[i], path, rest, all[i+1:])
		}
	}

	// The directory that the walk had entered is gone by now: go on after it.
	i := slices.Index(all, "1")
	delete(f, tops[1])
	w := NewWalker(root, f.read)
	if err := w.Resume(paths[i]); err != nil {
		t.Fatal(err)
	}
	if rest, _ := walk(t, w); !slices.Equal(rest, all[slices.Index(all, "2"):]) {
		t.Errorf("with the place gone: %v", rest)
	}
}

func TestWalkerResumeRefuses(t *testing.T) {
	t.Parallel()
	f := forest{}
	root := f.add(t, "root", f.add(t, "a"))
	for _, path := range [][]int{nil, {}, {-1}, {2}, {0, 0}, {1, 2}, {1, 1, 1}, {1, 1, 0, 0}, make([]int, MaxDepth+2)} {
		if err := NewWalker(root, f.read).Resume(path); !errors.Is(err, ErrPath) {
			t.Errorf("Resume(%v) = %v, want ErrPath", path[:min(len(path), 5)], err)
		}
	}
}

func TestWalkerLimits(t *testing.T) {
	t.Parallel()
	f := forest{}
	d := f.add(t, "bottom")
	for range MaxDepth - 1 {
		d = f.add(t, "x", d)
	}
	if tags, _ := walk(t, NewWalker(d, f.read)); len(tags) != MaxDepth {
		t.Errorf("visited %d levels, want %d", len(tags), MaxDepth)
	}
	w := NewWalker(f.add(t, "x", d), f.read)
	var err error
	for err == nil {
		_, _, err = w.Next()
	}
	if e := new(Error); !errors.As(err, &e) || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("one level more: %v", err)
	}
}

func TestWalkerErrors(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	root := digestOf("root")
	if _, _, err := NewWalker(root, func(digest.Digest) ([]byte, error) { return nil, boom }).Next(); !errors.Is(err, boom) {
		t.Errorf("Next() = %v, want boom", err)
	}
	_, _, err := NewWalker(root, func(digest.Digest) ([]byte, error) { return []byte("garbage"), nil }).Next()
	if e := new(Error); !errors.As(err, &e) || !strings.Contains(err.Error(), root.Hex()) {
		t.Errorf("Next() over garbage = %v", err)
	}
}
