package merkle

import (
	"bytes"
	"errors"
	"io"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
)

// goodDigest reports whether Parse must take the digest.
func goodDigest(d *repb.Digest) bool {
	if d == nil {
		return true
	}
	_, err := digest.Parse(digest.SHA256, d.Hash, d.SizeBytes)
	return err == nil
}

func goodDigests(r *repb.ActionResult) bool {
	good := goodDigest(r.StdoutDigest) && goodDigest(r.StderrDigest)
	for _, f := range r.OutputFiles {
		good = good && goodDigest(f.Digest)
	}
	for _, d := range r.OutputDirectories {
		good = good && goodDigest(d.TreeDigest) && goodDigest(d.RootDirectoryDigest)
	}
	return good
}

func sameDigest(got digest.Digest, want *repb.Digest) bool {
	if want == nil {
		return !got.Valid()
	}
	return got.Valid() && got.Hex() == want.Hash && got.Size() == want.SizeBytes
}

// FuzzActionResult compares the walker with the generated code: both take the
// same messages, and find the same in them.
func FuzzActionResult(f *testing.F) {
	f.Add(marshal(f, fullResult()))
	f.Add(marshal(f, &repb.ActionResult{StdoutRaw: []byte("x"), ExitCode: -1}))
	f.Add([]byte("\x12\x06\x12\x04\x0a\x02ab"))
	f.Add([]byte("\x0b\x0c"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		want := new(repb.ActionResult)
		wantErr := proto.Unmarshal(msg, want)
		if err := actionResultShape.check(msg); (err == nil) != (wantErr == nil) {
			t.Fatalf("shape: %v, generated code: %v", err, wantErr)
		}
		var got ActionResult
		err := got.Parse(digest.SHA256, msg)
		if wantErr != nil {
			return
		}
		if (err == nil) != goodDigests(want) {
			t.Fatalf("Parse: %v, digests are good: %v", err, goodDigests(want))
		}
		if err != nil {
			return
		}
		compareResult(t, &got, want)
		_ = got.Validate()
		compareRewrites(t, &got, want)
	})
}

func compareResult(t *testing.T, got *ActionResult, want *repb.ActionResult) {
	t.Helper()
	if len(got.Files) != len(want.OutputFiles) || len(got.Directories) != len(want.OutputDirectories) ||
		len(got.Symlinks) != len(want.OutputSymlinks) || len(got.FileSymlinks) != len(want.OutputFileSymlinks) ||
		len(got.DirectorySymlinks) != len(want.OutputDirectorySymlinks) {
		t.Fatalf("counts differ: %+v, %v", got, want)
	}
	for i, w := range want.OutputFiles {
		if g := &got.Files[i]; string(g.Path) != w.Path || !sameDigest(g.Digest, w.Digest) || !bytes.Equal(g.Contents, w.Contents) {
			t.Fatalf("output_files[%d]: %+v, %v", i, g, w)
		}
	}
	for i, w := range want.OutputDirectories {
		if g := &got.Directories[i]; string(g.Path) != w.Path || !sameDigest(g.Tree, w.TreeDigest) ||
			!sameDigest(g.Root, w.RootDirectoryDigest) || g.Sorted != w.IsTopologicallySorted {
			t.Fatalf("output_directories[%d]: %+v, %v", i, g, w)
		}
	}
	for i, w := range want.OutputSymlinks {
		if g := &got.Symlinks[i]; string(g.Path) != w.Path || string(g.Target) != w.Target {
			t.Fatalf("output_symlinks[%d]: %+v, %v", i, g, w)
		}
	}
	if !sameDigest(got.Stdout.Digest, want.StdoutDigest) || !sameDigest(got.Stderr.Digest, want.StderrDigest) ||
		!bytes.Equal(got.Stdout.Raw, want.StdoutRaw) || !bytes.Equal(got.Stderr.Raw, want.StderrRaw) {
		t.Fatalf("streams: %+v, %v", got, want)
	}
}

// compareRewrites does to want what the rewriting functions do to the bytes.
func compareRewrites(t *testing.T, got *ActionResult, want *repb.ActionResult) {
	t.Helper()
	inlined := proto.Clone(want).(*repb.ActionResult)
	for i := range got.Files {
		if d := got.Files[i].Digest; d.Valid() && d.Size() > 0 && d.Size() < 100 {
			got.Files[i].Inline = true
			inlined.OutputFiles[i].Contents = make([]byte, d.Size())
		}
	}
	zeros := func(dst []byte, d digest.Digest) ([]byte, error) { return append(dst, make([]byte, d.Size())...), nil }
	out, err := got.AppendInlined(nil, zeros)
	decoded := new(repb.ActionResult)
	if err != nil || proto.Unmarshal(out, decoded) != nil || !proto.Equal(decoded, inlined) {
		t.Fatalf("inlined: %v, %v, want %v", err, decoded, inlined)
	}
	extracted := proto.Clone(want).(*repb.ActionResult)
	extracted.StdoutRaw, extracted.StderrRaw = nil, nil
	for _, f := range extracted.OutputFiles {
		f.Contents = nil
	}
	decoded = new(repb.ActionResult)
	if proto.Unmarshal(got.AppendExtracted(nil), decoded) != nil || !proto.Equal(decoded, extracted) {
		t.Fatalf("extracted: %v, want %v", decoded, extracted)
	}
}

// FuzzTree compares the streaming readers with the generated code.
func FuzzTree(f *testing.F) {
	dir := &repb.Directory{
		Files:    []*repb.FileNode{{Name: "f", Digest: pbDigest("f")}},
		Symlinks: []*repb.SymlinkNode{{Name: "s", Target: "t"}},
	}
	root := &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "d", Digest: pbDigest("d")}}}
	f.Add(marshal(f, &repb.Tree{Root: root, Children: []*repb.Directory{dir}}))
	f.Add([]byte("\x12\x00\x0a\x00\x18\x01"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var r TreeReader
		r.Reset(bytes.NewReader(msg), int64(len(msg)), false)
		var got []Directory
		for {
			b, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			var d Directory
			if d.Parse(digest.SHA256, bytes.Clone(b)) != nil {
				return
			}
			_ = d.Validate()
			if r.Field() == "root" {
				got = append([]Directory{d}, got...)
			} else {
				got = append(got, d)
			}
		}
		want := new(repb.Tree)
		if err := proto.Unmarshal(msg, want); err != nil {
			t.Fatalf("the generated code refuses what the reader took: %v", err)
		}
		dirs := want.Children
		if want.Root != nil {
			dirs = append([]*repb.Directory{want.Root}, dirs...)
		}
		if len(got) != len(dirs) {
			t.Fatalf("%d directories, want %d", len(got), len(dirs))
		}
		for i := range dirs {
			compareDirectory(t, &got[i], dirs[i])
		}
	})
}

func compareDirectory(t *testing.T, got *Directory, want *repb.Directory) {
	t.Helper()
	if len(got.Files) != len(want.Files) || len(got.Directories) != len(want.Directories) || len(got.Symlinks) != len(want.Symlinks) {
		t.Fatalf("counts differ: %+v, %v", got, want)
	}
	for i, w := range want.Files {
		if g := got.Files[i]; string(g.Name) != w.Name || !sameDigest(g.Digest, w.Digest) {
			t.Fatalf("files[%d]: %+v, %v", i, g, w)
		}
	}
	for i, w := range want.Directories {
		if g := got.Directories[i]; string(g.Name) != w.Name || !sameDigest(g.Digest, w.Digest) {
			t.Fatalf("directories[%d]: %+v, %v", i, g, w)
		}
	}
}
