package merkle

import (
	"bytes"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/larder-build/larder/internal/digest"
)

func digestOf(content string) digest.Digest { return digest.Of(digest.SHA256, []byte(content)) }

func pbDigest(content string) *repb.Digest {
	d := digestOf(content)
	return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
}

func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// fullResult is an ActionResult with every field in use.
func fullResult() *repb.ActionResult {
	props := &repb.NodeProperties{
		Properties: []*repb.NodeProperty{{Name: "owner", Value: "me"}},
		Mtime:      &timestamppb.Timestamp{Seconds: 12345, Nanos: 6},
		UnixMode:   wrapperspb.UInt32(0o751),
	}
	return &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{
			{Path: "bazel-out/k8/bin/a.o", Digest: pbDigest("a"), IsExecutable: true, NodeProperties: props},
			{Path: "bazel-out/k8/bin/a.d", Digest: pbDigest("dd")},
		},
		OutputDirectories: []*repb.OutputDirectory{
			{Path: "bazel-out/tree", TreeDigest: pbDigest("tree"), IsTopologicallySorted: true, RootDirectoryDigest: pbDigest("root")},
		},
		OutputSymlinks:          []*repb.OutputSymlink{{Path: "l", Target: "../x", NodeProperties: props}, {Path: "m", Target: "/abs"}},
		OutputFileSymlinks:      []*repb.OutputSymlink{{Path: "l", Target: "../x", NodeProperties: props}},
		OutputDirectorySymlinks: []*repb.OutputSymlink{{Path: "m", Target: "/abs"}},
		ExitCode:                3,
		StdoutDigest:            pbDigest("out"),
		StderrDigest:            pbDigest(""),
		ExecutionMetadata:       &repb.ExecutedActionMetadata{Worker: "w", QueuedTimestamp: timestamppb.Now()},
	}
}

func TestActionResultParse(t *testing.T) {
	t.Parallel()
	var r ActionResult
	if err := r.Parse(digest.SHA256, marshal(t, fullResult())); err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err != nil {
		t.Fatalf("Validate() = %v", err)
	}
	if len(r.Files) != 2 || string(r.Files[1].Path) != "bazel-out/k8/bin/a.d" || r.Files[1].Digest != digestOf("dd") {
		t.Errorf("files: %+v", r.Files)
	}
	if len(r.Directories) != 1 || r.Directories[0].Tree != digestOf("tree") || r.Directories[0].Root != digestOf("root") || !r.Directories[0].Sorted {
		t.Errorf("directories: %+v", r.Directories)
	}
	if r.Stdout.Digest != digestOf("out") || r.Stderr.Digest != digestOf("") || r.Empty {
		t.Errorf("stdout %v, stderr %v, empty %v", r.Stdout.Digest, r.Stderr.Digest, r.Empty)
	}
	if len(r.Symlinks) != 2 || len(r.FileSymlinks) != 1 || len(r.DirectorySymlinks) != 1 {
		t.Errorf("symlinks: %d, %d, %d", len(r.Symlinks), len(r.FileSymlinks), len(r.DirectorySymlinks))
	}
}

func TestActionResultEmpty(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		msg  string
		want bool
	}{
		"no bytes":             {"", true},
		"explicit zero exit":   {"\x20\x00", true},
		"explicit no output":   {"\x2a\x00\x3a\x00", true},
		"exit code":            {"\x20\x01", false},
		"present metadata":     {"\x4a\x00", false},
		"output without bytes": {"\x12\x00", false},
	} {
		var r ActionResult
		if err := r.Parse(digest.SHA256, []byte(tt.msg)); err != nil || r.Empty != tt.want {
			t.Errorf("%s: Empty = %v, %v, want %v", name, r.Empty, err, tt.want)
		}
	}
}

func TestActionResultRefuses(t *testing.T) {
	t.Parallel()
	file := func(paths ...string) *repb.ActionResult {
		r := &repb.ActionResult{}
		for _, p := range paths {
			r.OutputFiles = append(r.OutputFiles, &repb.OutputFile{Path: p, Digest: pbDigest(p)})
		}
		return r
	}
	dir := func(r *repb.ActionResult, path string) *repb.ActionResult {
		r.OutputDirectories = append(r.OutputDirectories, &repb.OutputDirectory{Path: path, TreeDigest: pbDigest(path)})
		return r
	}
	link := func(r *repb.ActionResult, path, target string) *repb.ActionResult {
		r.OutputSymlinks = append(r.OutputSymlinks, &repb.OutputSymlink{Path: path, Target: target})
		return r
	}
	upper := pbDigest("x")
	upper.Hash = strings.ToUpper(upper.Hash)
	for name, tt := range map[string]struct {
		result *repb.ActionResult
		want   string // "" if it is fine
	}{
		"no digest":            {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "a"}}}, `output_files[0].digest "a": must be set`},
		"empty digest":         {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "a", Digest: &repb.Digest{}}}}, "output_files[0].digest: digest hash"},
		"short hash":           {&repb.ActionResult{StdoutDigest: &repb.Digest{Hash: "abc", SizeBytes: 1}}, `stdout_digest: digest hash "abc" has 3 characters`},
		"upper-case hash":      {&repb.ActionResult{StderrDigest: upper}, "stderr_digest: digest hash"},
		"negative size":        {&repb.ActionResult{StderrDigest: &repb.Digest{Hash: digestOf("").Hex(), SizeBytes: -1}}, "size_bytes -1 is negative"},
		"tree digest":          {&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "d", TreeDigest: &repb.Digest{Hash: "x"}}}}, "output_directories[0].tree_digest: "},
		"root digest":          {&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "d", RootDirectoryDigest: &repb.Digest{Hash: "x"}}}}, "output_directories[0].root_directory_digest: "},
		"no tree":              {&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "d"}}}, `output_directories[0].tree_digest "d": must be set`},
		"absolute":             {file("a", "/abs"), `output_files[1].path "/abs": must be relative`},
		"empty":                {file(""), "output_files[0].path: must not be empty"},
		"up":                   {file("a/../b"), `output_files[0].path "a/../b": must not have a ".." segment`},
		"up at once":           {file(".."), `must not have a ".." segment`},
		"here":                 {file("./a"), `must not have a "." segment`},
		"double slash":         {file("a//b"), "must not have an empty segment"},
		"trailing slash":       {file("a/"), "must not have an empty segment"},
		"dots in names":        {file("a..b", "...", ".x"), ""},
		"twice":                {file("a", "b", "a"), "is used twice, also by output_files["},
		"file and directory":   {dir(file("a"), "a"), "is used twice"},
		"below a file":         {file("a/b/c", "a/b", "a/b-c"), `output_files[0].path "a/b/c": lies below output_files[1], which is not a directory`},
		"below, not next":      {file("a", "a!", "a/b"), `output_files[2].path "a/b": lies below output_files[0]`},
		"beside a file":        {file("a", "ab", "a.b/c"), ""},
		"below a symlink":      {link(file("l/x"), "l", "t"), `output_files[0].path "l/x": lies below output_symlinks[0]`},
		"directory below file": {dir(file("a"), "a/d"), `output_directories[0].path "a/d": lies below output_files[0]`},
		"below a directory":    {dir(dir(file("d/x"), "d"), "d/e"), ""},
		"root directory":       {dir(file("x"), ""), ""},
		"absolute directory":   {dir(file(), "/d"), `output_directories[0].path "/d": must be relative`},
		"directory twice":      {dir(dir(file(), "d"), "d"), "is used twice"},
		"symlink target":       {link(file(), "l", ""), `output_symlinks[0].target "l": must not be empty`},
		"symlink path":         {link(file(), "", "t"), `output_symlinks[0].path: must not be empty`},
		"symlink twice":        {link(link(file(), "l", "t"), "l", "t"), "is used twice"},
		"symlink in two fields": {&repb.ActionResult{
			OutputSymlinks:     []*repb.OutputSymlink{{Path: "l", Target: "t"}},
			OutputFileSymlinks: []*repb.OutputSymlink{{Path: "l", Target: "t"}},
		}, ""},
		"symlinks that differ": {&repb.ActionResult{
			OutputSymlinks:          []*repb.OutputSymlink{{Path: "l", Target: "t"}},
			OutputDirectorySymlinks: []*repb.OutputSymlink{{Path: "l", Target: "u"}},
		}, "is used twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r ActionResult
			err := r.Parse(digest.SHA256, marshal(t, tt.result))
			if err == nil {
				err = r.Validate()
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestActionResultNotUTF8(t *testing.T) {
	t.Parallel()
	good := marshal(t, &repb.ActionResult{ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: "WORKER"}})
	bad := bytes.ReplaceAll(good, []byte("WORKER"), []byte("WORK\xff\xfe"))
	var r ActionResult
	if err := r.Parse(digest.SHA256, bad); err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err == nil || !strings.Contains(err.Error(), `execution_metadata.worker "WORK\xff\xfe": is not valid UTF-8`) {
		t.Errorf("Validate() = %v", err)
	}
}

func TestAppendExtracted(t *testing.T) {
	t.Parallel()
	in := fullResult()
	in.OutputFiles[0].Contents = []byte("a")
	in.OutputFiles = append(in.OutputFiles, &repb.OutputFile{Path: "new", Contents: []byte("new!")})
	in.StdoutRaw, in.StdoutDigest = []byte("raw"), nil
	in.StderrRaw = []byte("x")
	var r ActionResult
	if err := r.Parse(digest.SHA256, marshal(t, in)); err != nil {
		t.Fatal(err)
	}
	r.Files[2].Digest, r.Stdout.Digest = digestOf("new!"), digestOf("raw")
	want := proto.Clone(in).(*repb.ActionResult)
	want.OutputFiles[0].Contents, want.OutputFiles[2].Contents, want.StdoutRaw, want.StderrRaw = nil, nil, nil, nil
	want.OutputFiles[2].Digest, want.StdoutDigest = pbDigest("new!"), pbDigest("raw")
	got := new(repb.ActionResult)
	if err := proto.Unmarshal(r.AppendExtracted(nil), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestAppendInlined(t *testing.T) {
	t.Parallel()
	in := fullResult()
	var r ActionResult
	if err := r.Parse(digest.SHA256, marshal(t, in)); err != nil {
		t.Fatal(err)
	}
	blobs := map[digest.Digest]string{digestOf("dd"): "dd", digestOf("out"): "out"}
	r.Files[1].Inline, r.Stdout.Inline = true, true
	out, err := r.AppendInlined(nil, func(dst []byte, d digest.Digest) ([]byte, error) { return append(dst, blobs[d]...), nil })
	if err != nil {
		t.Fatal(err)
	}
	got := new(repb.ActionResult)
	if err := proto.Unmarshal(out, got); err != nil {
		t.Fatal(err)
	}
	in.OutputFiles[1].Contents, in.StdoutRaw = []byte("dd"), []byte("out")
	if diff := cmp.Diff(in, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestAppendWorker(t *testing.T) {
	t.Parallel()
	got := new(repb.ActionResult)
	if err := proto.Unmarshal(AppendWorker(nil, "someone"), got); err != nil || got.GetExecutionMetadata().GetWorker() != "someone" {
		t.Errorf("got %v, %v", got, err)
	}
}

func BenchmarkParseActionResult(b *testing.B) {
	in := &repb.ActionResult{StdoutDigest: pbDigest("o"), StderrDigest: pbDigest("")}
	for i := range 10 {
		name := "bazel-out/k8-fastbuild/bin/pkg/file" + strings.Repeat("x", i)
		in.OutputFiles = append(in.OutputFiles, &repb.OutputFile{Path: name, Digest: pbDigest(name)})
	}
	msg := marshal(b, in)
	var r ActionResult
	b.Run("Parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Parse(digest.SHA256, msg); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Validate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Validate(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
