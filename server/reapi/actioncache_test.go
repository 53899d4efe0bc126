package reapi_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/reapi"
)

// actionOf returns the digest of an action that no other test has.
func actionOf(tb testing.TB) *repb.Digest {
	tb.Helper()
	return sha256Of([]byte("action of " + tb.Name()))
}

func (h *harness) updateResult(action *repb.Digest, result *repb.ActionResult) (*repb.ActionResult, error) {
	return h.ac.UpdateActionResult(h.ctx(), &repb.UpdateActionResultRequest{ActionDigest: action, ActionResult: result})
}

func (h *harness) mustUpdateResult(action *repb.Digest, result *repb.ActionResult) {
	h.tb.Helper()
	if _, err := h.updateResult(action, result); err != nil {
		h.tb.Fatal(err)
	}
}

func (h *harness) getResult(action *repb.Digest) (*repb.ActionResult, error) {
	return h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{ActionDigest: action})
}

func (h *harness) putMessage(m proto.Message) *repb.Digest {
	h.tb.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		h.tb.Fatal(err)
	}
	return h.put(wire)
}

func wantSame(tb testing.TB, got, want proto.Message) {
	tb.Helper()
	if !proto.Equal(got, want) { // cmp is slow on large messages
		tb.Error(cmp.Diff(want, got, protocmp.Transform()))
	}
}

func TestRule1_ActionResultWithEmptyBlob(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	empty := sha256Of(nil)
	want := &repb.ActionResult{
		OutputFiles:       []*repb.OutputFile{{Path: "empty", Digest: empty}},
		OutputDirectories: []*repb.OutputDirectory{{Path: "d", TreeDigest: empty, RootDirectoryDigest: empty}},
		StdoutDigest:      empty, StderrDigest: empty,
	}
	h.mustUpdateResult(actionOf(t), want)
	got, err := h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{
		ActionDigest: actionOf(t), InlineStdout: true, InlineOutputFiles: []string{"empty"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, want)
}

func TestRule2_ActionResultWithWrongSize(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	d := h.put([]byte("five!"))
	d.SizeBytes++
	h.mustUpdateResult(actionOf(t), &repb.ActionResult{StdoutDigest: d})
	_, err := h.getResult(actionOf(t))
	wantCode(t, err, codes.NotFound, d.Hash)
}

// TestRule8_ActionCacheFunction checks that the digest function is part of
// what names an action, and holds for the digests in its result.
func TestRule8_ActionCacheFunction(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, fn := range []digest.Function{digest.SHA256, digest.BLAKE3, digest.SHA1, digest.SHA384, digest.SHA512, digest.MD5} {
		action := protoDigest(digest.Of(fn, []byte("action")))
		named := repb.DigestFunction_Value(fn)
		want := &repb.ActionResult{StdoutDigest: h.putAs(fn, "", []byte("out of "+fn.String()))}
		if _, err := h.ac.UpdateActionResult(h.ctx(), &repb.UpdateActionResultRequest{ActionDigest: action, ActionResult: want, DigestFunction: named}); err != nil {
			t.Fatal(err)
		}
		got, err := h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{ActionDigest: action, DigestFunction: named})
		if err != nil {
			t.Fatalf("%v: %v", fn, err)
		}
		wantSame(t, got, want)
		inferred, err := h.getResult(action)
		if fn == digest.BLAKE3 { // has the length of SHA256, and must be named
			wantCode(t, err, codes.NotFound)
		} else if err != nil {
			t.Errorf("%v, inferred: %v", fn, err)
		} else {
			wantSame(t, inferred, want)
		}
	}
	sha1 := protoDigest(digest.Of(digest.SHA1, []byte("x")))
	_, err := h.updateResult(actionOf(t), &repb.ActionResult{StdoutDigest: sha1})
	wantCode(t, err, codes.InvalidArgument, "stdout_digest", sha1.Hash, "SHA256")
	for _, fn := range []repb.DigestFunction_Value{repb.DigestFunction_MURMUR3, 77, -1} {
		_, err := h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{ActionDigest: actionOf(t), DigestFunction: fn})
		wantCode(t, err, codes.InvalidArgument, "digest_function")
	}
}

func TestRule22_ActionResultIsComplete(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	file := func(name string) *repb.FileNode {
		return &repb.FileNode{Name: name, Digest: sha256Of([]byte(name))}
	}
	sub := &repb.Directory{Files: []*repb.FileNode{file("below the root")}}
	subWire, err := proto.Marshal(sub)
	if err != nil {
		t.Fatal(err)
	}
	root := &repb.Directory{
		Files:       []*repb.FileNode{file("in the root")},
		Directories: []*repb.DirectoryNode{{Name: "sub", Digest: sha256Of(subWire)}},
	}
	rootWire, err := proto.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	tree := &repb.Tree{
		Root:     &repb.Directory{Files: []*repb.FileNode{file("in the tree")}, Directories: []*repb.DirectoryNode{{Name: "c", Digest: sha256Of([]byte("not stored"))}}},
		Children: []*repb.Directory{{Files: []*repb.FileNode{file("in a child")}}},
	}
	treeWire, err := proto.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{{Path: "f", Digest: sha256Of([]byte("output file"))}},
		OutputDirectories: []*repb.OutputDirectory{
			{Path: "t", TreeDigest: sha256Of(treeWire)},
			{Path: "r", RootDirectoryDigest: sha256Of(rootWire)},
		},
		StdoutDigest: sha256Of([]byte("stdout")),
		StderrDigest: sha256Of([]byte("stderr")),
	}
	h.mustUpdateResult(actionOf(t), want)
	// Each blob that is uploaded leaves the result incomplete until the last.
	for _, blob := range [][]byte{
		[]byte("output file"), []byte("stdout"), treeWire, []byte("in the tree"), []byte("in a child"),
		rootWire, []byte("in the root"), subWire, []byte("below the root"), []byte("stderr"),
	} {
		_, err := h.getResult(actionOf(t))
		wantCode(t, err, codes.NotFound, "incomplete")
		h.put(blob)
	}
	got, err := h.getResult(actionOf(t))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, want)
}

// TestRule22_FailureIsNoMiss checks that NOT_FOUND is answered only where a
// blob is certainly missing, and what can be tried again says so (rule 32).
func TestRule22_FailureIsNoMiss(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	h.mustUpdateResult(actionOf(t), &repb.ActionResult{StdoutDigest: h.put([]byte("out"))})
	for _, tt := range storeErrors {
		h.store.set(func(s *faults) { s.findErr = tt.err })
		_, err := h.getResult(actionOf(t))
		h.store.set(func(s *faults) { s.findErr = nil })
		wantCode(t, err, tt.code)
		wantRetryInfo(t, status.Convert(err), tt.retry)
	}
	h.store.set(func(s *faults) { s.getErr = fmt.Errorf("backend: %w", blobstore.ErrUnavailable) })
	_, err := h.getResult(actionOf(t))
	wantCode(t, err, codes.Unavailable)
	// A result that the store has found corrupt is a miss: the action can be
	// run again.
	h.store.set(func(s *faults) { s.getErr = fmt.Errorf("sector 7: %w", blobstore.ErrCorrupt) })
	_, err = h.getResult(actionOf(t))
	wantCode(t, err, codes.NotFound)
}

func TestRule23_InlineWhenAsked(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	// Two of the large files do not fit in one reply.
	large := [][]byte{random(1, 2<<20), random(2, 2<<20)}
	stored := &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{
			{Path: "a", Digest: h.put(large[0]), IsExecutable: true},
			{Path: "b", Digest: h.put(large[1])},
			{Path: "c.d", Digest: h.put([]byte("deps"))},
			{Path: "not asked for", Digest: h.put([]byte("x"))},
		},
		StdoutDigest: h.putZstd(text(1, 5000)),
		StderrDigest: h.put([]byte("err")),
	}
	h.mustUpdateResult(actionOf(t), stored)
	for name, tt := range map[string]struct {
		req  *repb.GetActionResultRequest
		want func(*repb.ActionResult)
	}{
		"nothing": {&repb.GetActionResultRequest{}, func(*repb.ActionResult) {}},
		"stdout":  {&repb.GetActionResultRequest{InlineStdout: true}, func(r *repb.ActionResult) { r.StdoutRaw = text(1, 5000) }},
		"stderr":  {&repb.GetActionResultRequest{InlineStderr: true}, func(r *repb.ActionResult) { r.StderrRaw = []byte("err") }},
		"one file": {&repb.GetActionResultRequest{InlineOutputFiles: []string{"c.d", "unknown"}}, func(r *repb.ActionResult) {
			r.OutputFiles[2].Contents = []byte("deps")
		}},
		"too much": {&repb.GetActionResultRequest{InlineOutputFiles: []string{"a", "b", "c.d"}, InlineStdout: true}, func(r *repb.ActionResult) {
			r.OutputFiles[0].Contents, r.OutputFiles[2].Contents, r.StdoutRaw = large[0], []byte("deps"), text(1, 5000)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.req.ActionDigest = sha256Of([]byte("action of TestRule23_InlineWhenAsked"))
			got, err := h.ac.GetActionResult(h.ctx(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			want := proto.Clone(stored).(*repb.ActionResult)
			tt.want(want)
			wantSame(t, got, want)
		})
	}
}

// TestRule24_BadActionResults has every way in which an action result can be
// wrong, and checks the code and that the message names the value.
func TestRule24_BadActionResults(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	ok := h.put([]byte("x"))
	files := func(paths ...string) *repb.ActionResult {
		r := &repb.ActionResult{}
		for _, p := range paths {
			r.OutputFiles = append(r.OutputFiles, &repb.OutputFile{Path: p, Digest: ok})
		}
		return r
	}
	tree := func(root *repb.Directory, children ...*repb.Directory) *repb.ActionResult {
		return &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{
			{Path: "t", TreeDigest: h.putMessage(&repb.Tree{Root: root, Children: children})},
		}}
	}
	hierarchy := func(d *repb.Directory) *repb.ActionResult {
		top := &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "d", Digest: h.putMessage(d)}}}
		return &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "h", RootDirectoryDigest: h.putMessage(top)}}}
	}
	node := func(name string) *repb.Directory {
		return &repb.Directory{Files: []*repb.FileNode{{Name: name, Digest: ok}}}
	}
	for name, tt := range map[string]struct {
		result *repb.ActionResult
		words  []string
	}{
		"hash too short":          {&repb.ActionResult{StdoutDigest: &repb.Digest{Hash: "abc"}}, []string{"stdout_digest", `"abc"`}},
		"hash not hex":            {&repb.ActionResult{StderrDigest: &repb.Digest{Hash: "z" + ok.Hash[1:], SizeBytes: 1}}, []string{"stderr_digest", "z" + ok.Hash[1:]}},
		"negative size":           {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "f", Digest: &repb.Digest{Hash: ok.Hash, SizeBytes: -5}}}}, []string{"output_files[0].digest", "-5"}},
		"no file digest":          {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "f"}}}, []string{"output_files[0].digest", `"f"`}},
		"no tree digest":          {&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "d"}}}, []string{"output_directories[0].tree_digest", `"d"`}},
		"absolute path":           {files("ok", "/abs"), []string{`output_files[1].path "/abs"`, "relative"}},
		"path with ..":            {files("a/../../etc"), []string{`"a/../../etc"`, `".."`}},
		"path with .":             {files("./a"), []string{`"./a"`}},
		"empty path":              {files(""), []string{"output_files[0].path", "empty"}},
		"path twice":              {files("a", "a"), []string{`"a"`, "twice"}},
		"file below a file":       {files("a", "a/b"), []string{`output_files[1].path "a/b"`, "output_files[0]"}},
		"file below a symlink":    {&repb.ActionResult{OutputFiles: files("l/f").OutputFiles, OutputSymlinks: []*repb.OutputSymlink{{Path: "l", Target: "t"}}}, []string{`"l/f"`, "output_symlinks[0]"}},
		"symlink without target":  {&repb.ActionResult{OutputSymlinks: []*repb.OutputSymlink{{Path: "l"}}}, []string{"output_symlinks[0].target", `"l"`}},
		"file symlink":            {&repb.ActionResult{OutputFileSymlinks: []*repb.OutputSymlink{{Path: "/l", Target: "t"}}}, []string{`output_file_symlinks[0].path "/l"`}},
		"directory symlink":       {&repb.ActionResult{OutputDirectorySymlinks: []*repb.OutputSymlink{{Path: "l"}}}, []string{"output_directory_symlinks[0].target"}},
		"name in a tree":          {tree(node("ok"), node("a/b")), []string{"tree_digest.children[0].files[0].name", `"a/b"`}},
		"name twice in a tree":    {tree(&repb.Directory{Files: []*repb.FileNode{{Name: "a", Digest: ok}, {Name: "a", Digest: ok}}}), []string{"tree_digest.root.files[", "twice"}},
		"digest in a tree":        {tree(&repb.Directory{Files: []*repb.FileNode{{Name: "a", Digest: &repb.Digest{Hash: "123"}}}}), []string{"tree_digest.root.files[0].digest", `"123"`}},
		"symlink in a tree":       {tree(node("ok"), &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "s"}}}), []string{"tree_digest.children[0].symlinks[0].target", `"s"`}},
		"tree is none":            {&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "t", TreeDigest: h.put([]byte("no tree"))}}}, []string{"output_directories[0].tree_digest"}},
		"name in a hierarchy":     {hierarchy(node("..")), []string{"root_directory_digest", `".."`}},
		"symlink in a hierarchy":  {hierarchy(&repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "s"}}}), []string{"root_directory_digest", `"s"`}},
		"contents of another":     {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "f", Digest: ok, Contents: []byte("y")}}}, []string{"output_files[0].contents", ok.Hash}},
		"contents too long":       {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "f", Digest: ok, Contents: []byte("xx")}}}, []string{"output_files[0].contents"}},
		"stdout of another":       {&repb.ActionResult{StdoutRaw: []byte("y"), StdoutDigest: ok}, []string{"stdout_raw", ok.Hash}},
		"stderr of another":       {&repb.ActionResult{StderrRaw: []byte("y"), StderrDigest: ok}, []string{"stderr_raw", ok.Hash}},
		"malformed in the middle": {&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "a/", TreeDigest: ok}}}, []string{`output_directories[0].path "a/"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action := sha256Of([]byte(name))
			_, err := h.updateResult(action, tt.result)
			wantCode(t, err, codes.InvalidArgument, tt.words...)
			_, err = h.getResult(action)
			wantCode(t, err, codes.NotFound)
		})
	}
}

func TestRule24_BadActionRequests(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	action := actionOf(t)
	for name, tt := range map[string]struct {
		instance string
		action   *repb.Digest
		word     string
	}{
		"no digest":    {"", nil, "action_digest is not set"},
		"empty digest": {"", &repb.Digest{}, "digest_function"},
		"bad hash":     {"", &repb.Digest{Hash: "G" + action.Hash[1:]}, "G" + action.Hash[1:]},
		"bad size":     {"", &repb.Digest{Hash: action.Hash, SizeBytes: -3}, "-3"},
		"instance":     {"a/blobs/b", action, "blobs"},
	} {
		_, err := h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{InstanceName: tt.instance, ActionDigest: tt.action})
		wantCode(t, err, codes.InvalidArgument, tt.word)
		_, err = h.ac.UpdateActionResult(h.ctx(), &repb.UpdateActionResultRequest{InstanceName: tt.instance, ActionDigest: tt.action, ActionResult: &repb.ActionResult{}})
		if wantCode(t, err, codes.InvalidArgument, tt.word); t.Failed() {
			t.Fatalf("at %s", name)
		}
	}
	_, err := h.ac.UpdateActionResult(h.ctx(), &repb.UpdateActionResultRequest{ActionDigest: action})
	wantCode(t, err, codes.InvalidArgument, "action_result is not set")
}

func TestRule24_UpdateWithoutRoom(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for _, tt := range storeErrors {
		h.store.set(func(s *faults) { s.putErr = tt.err })
		_, err := h.updateResult(actionOf(t), &repb.ActionResult{ExitCode: 1})
		wantCode(t, err, tt.code)
		wantRetryInfo(t, status.Convert(err), tt.retry)
	}
}

// TestRule24_OutputsMayFollow checks the decision that the server does not
// demand the action and its outputs before the result.
func TestRule24_OutputsMayFollow(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	want := &repb.ActionResult{StdoutDigest: sha256Of([]byte("later"))}
	h.mustUpdateResult(actionOf(t), want)
	_, err := h.getResult(actionOf(t))
	wantCode(t, err, codes.NotFound, want.StdoutDigest.Hash)
	h.put([]byte("later"))
	got, err := h.getResult(actionOf(t))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, want)
}

func TestRule25_EmptyActionResult(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	updated, err := h.updateResult(actionOf(t), &repb.ActionResult{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.getResult(actionOf(t))
	if err != nil {
		t.Fatal(err)
	}
	if got.GetExecutionMetadata().GetWorker() == "" || proto.Size(got) == 0 {
		t.Errorf("got %v, want a worker", got)
	}
	wantSame(t, got, updated)
}

// TestRule26_NothingIsLost checks that deprecated fields, node properties,
// execution metadata and fields of a later protocol come back, and that a
// worker's name is not replaced.
func TestRule26_NothingIsLost(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	props := &repb.NodeProperties{
		Properties: []*repb.NodeProperty{{Name: "owner", Value: "me"}},
		Mtime:      &timestamppb.Timestamp{Seconds: 1700000000, Nanos: 5},
		UnixMode:   wrapperspb.UInt32(0o750),
	}
	links := []*repb.OutputSymlink{{Path: "link", Target: "../elsewhere", NodeProperties: props}, {Path: "abs", Target: "/usr/bin"}}
	want := &repb.ActionResult{
		OutputFiles:             []*repb.OutputFile{{Path: "f", Digest: h.put([]byte("f")), IsExecutable: true, NodeProperties: props}},
		OutputSymlinks:          links,
		OutputFileSymlinks:      links[:1],
		OutputDirectorySymlinks: links[1:],
		OutputDirectories:       []*repb.OutputDirectory{{Path: "", TreeDigest: h.putMessage(&repb.Tree{Root: &repb.Directory{}})}},
		ExitCode:                2,
		ExecutionMetadata:       &repb.ExecutedActionMetadata{Worker: "w7", WorkerStartTimestamp: timestamppb.Now()},
	}
	want.ProtoReflect().SetUnknown([]byte("\xc2\x3e\x03new"))
	updated, err := h.updateResult(actionOf(t), want)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, updated, want)
	got, err := h.getResult(actionOf(t))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, want)
}

// TestInlinedByClient checks that content a client inlines is in the CAS
// afterwards, and that its reply has the digests.
func TestInlinedByClient(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	got, err := h.updateResult(actionOf(t), &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{{Path: "f", Contents: []byte("file")}},
		StdoutRaw:   []byte("out"),
		StderrRaw:   []byte("err"), StderrDigest: sha256Of([]byte("err")),
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, &repb.ActionResult{
		OutputFiles:  []*repb.OutputFile{{Path: "f", Digest: sha256Of([]byte("file"))}},
		StdoutDigest: sha256Of([]byte("out")), StderrDigest: sha256Of([]byte("err")),
	})
	for _, content := range []string{"file", "out", "err"} {
		if !h.has(sha256Of([]byte(content))) {
			t.Errorf("%q is not in the CAS", content)
		}
	}
}

// TestUpdateReplyIsItsOwn checks that a reply does not share memory with the
// request, which is freed, and used for other requests, before it is sent.
func TestUpdateReplyIsItsOwn(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			want := &repb.ActionResult{ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: strings.Repeat(fmt.Sprint(i%10), 8000)}}
			for j := range 50 {
				got, err := h.updateResult(sha256Of(fmt.Append(nil, i, j)), want)
				if err != nil || !proto.Equal(got, want) {
					t.Errorf("update %d of client %d: another reply than request: %v", j, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestRule33_SortedTree checks that a Tree that claims to be sorted is encoded
// as such, and that other clients' unsorted trees are taken.
func TestRule33_SortedTree(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	file := h.put([]byte("f"))
	leaf := &repb.Directory{Files: []*repb.FileNode{{Name: "f", Digest: file}}}
	wire, err := proto.Marshal(&repb.Tree{
		Root:     &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "leaf", Digest: h.putMessage(leaf)}}},
		Children: []*repb.Directory{leaf},
	})
	if err != nil {
		t.Fatal(err)
	}
	rootLen := 2 + int(wire[1])
	reversed := append(bytes.Clone(wire[rootLen:]), wire[:rootLen]...)
	for name, tt := range map[string]struct {
		tree   []byte
		sorted bool
		want   codes.Code
	}{
		"sorted":                {wire, true, codes.OK},
		"children first":        {reversed, false, codes.OK},
		"sorted is not true":    {reversed, true, codes.InvalidArgument},
		"more than directories": {append(bytes.Clone(wire), "\x18\x01"...), true, codes.InvalidArgument},
	} {
		result := &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "t", TreeDigest: h.put(tt.tree), IsTopologicallySorted: tt.sorted}}}
		action := sha256Of([]byte(name))
		_, err := h.updateResult(action, result)
		if wantCode(t, err, tt.want); tt.want != codes.OK {
			continue
		}
		got, err := h.getResult(action)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, got, result)
	}
}

func TestReadOnlyActionCache(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{ReadOnly: true})
	_, err := h.updateResult(actionOf(t), &repb.ActionResult{ExitCode: 1})
	wantCode(t, err, codes.PermissionDenied)
	_, err = h.getResult(actionOf(t))
	wantCode(t, err, codes.NotFound)
}

// TestRule6_ActionCacheInstances checks that instance names keep action
// results apart.
func TestRule6_ActionCacheInstances(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	for i, instance := range []string{"", "a", "a/b"} {
		if _, err := h.ac.UpdateActionResult(h.ctx(), &repb.UpdateActionResultRequest{
			InstanceName: instance, ActionDigest: actionOf(t), ActionResult: &repb.ActionResult{ExitCode: int32(i + 1)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, instance := range []string{"", "a", "a/b"} {
		got, err := h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{InstanceName: instance, ActionDigest: actionOf(t)})
		if err != nil || got.ExitCode != int32(i+1) {
			t.Errorf("instance %q: %v, %v", instance, got, err)
		}
	}
	_, err := h.ac.GetActionResult(h.ctx(), &repb.GetActionResultRequest{InstanceName: "other", ActionDigest: actionOf(t)})
	wantCode(t, err, codes.NotFound)
}
