package actioncache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
)

// spy is a store that records what it is asked and fails as told.
type spy struct {
	*memory.Store

	mu      sync.Mutex
	finds   int
	asked   []blobstore.Key // by the last FindMissing
	written []blobstore.Key
	fail    func(verb string, key blobstore.Key) error
}

func (s *spy) failure(verb string, key blobstore.Key) error {
	if s.fail == nil {
		return nil
	}
	return s.fail(verb, key)
}

func (s *spy) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	if err := s.failure("get", key); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, key)
}

func (s *spy) FindMissing(ctx context.Context, keys []blobstore.Key) ([]int, error) {
	s.mu.Lock()
	s.finds++
	s.asked = slices.Clone(keys)
	s.mu.Unlock()
	for _, key := range keys {
		if err := s.failure("find", key); err != nil {
			return nil, err
		}
	}
	return s.Store.FindMissing(ctx, keys)
}

func (s *spy) Put(ctx context.Context, blobs []blobstore.Blob) []error {
	errs := s.Store.Put(ctx, blobs)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range blobs {
		if err := s.failure("put", b.Key); err != nil {
			errs[i] = err
		}
		if errs[i] == nil {
			s.written = append(s.written, b.Key)
		}
	}
	return errs
}

// rig is a cache over a spied store, with an action.
type rig struct {
	*Cache
	t      testing.TB
	store  *spy
	reg    *prometheus.Registry
	action digest.Digest
}

func newRig(tb testing.TB, o Options) *rig {
	tb.Helper()
	r := &rig{t: tb, store: &spy{Store: memory.New(memory.Options{})}, reg: prometheus.NewRegistry()}
	o.Store, o.Registerer = r.store, r.reg
	r.Cache = New(o)
	r.action = digest.Of(digest.SHA256, []byte("action of "+tb.Name()))
	return r
}

// put stores a blob in the CAS and returns its digest.
func (r *rig) put(content []byte) *repb.Digest {
	r.t.Helper()
	d := digest.Of(digest.SHA256, content)
	spec := blobstore.Spec{Key: r.opts.Namespace.CAS("", d), Size: d.Size()}
	if err := r.store.Store.Put(r.t.Context(), []blobstore.Blob{{Spec: spec, Data: content}})[0]; err != nil {
		r.t.Fatal(err)
	}
	return toProto(d)
}

func (r *rig) remove(d *repb.Digest) {
	r.t.Helper()
	if err := r.store.Remove(r.t.Context(), r.opts.Namespace.CAS("", fromProto(r.t, d))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) content(key blobstore.Key) []byte {
	r.t.Helper()
	reader, err := r.store.Get(r.t.Context(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	defer reader.Close()
	content, err := io.ReadAll(reader)
	if err != nil {
		r.t.Fatal(err)
	}
	return content
}

func (r *rig) putMessage(m proto.Message) *repb.Digest { return r.put(marshal(r.t, m)) }

func (r *rig) get(in Inline) (*repb.ActionResult, error) {
	data, err := r.Get(r.t.Context(), Request{Action: r.action, Inline: in})
	if err != nil {
		return nil, err
	}
	result := new(repb.ActionResult)
	if err := proto.Unmarshal(data, result); err != nil {
		r.t.Fatal(err)
	}
	return result, nil
}

func (r *rig) update(result *repb.ActionResult) error {
	_, err := r.Update(r.t.Context(), "", r.action, marshal(r.t, result))
	return err
}

func (r *rig) mustUpdate(result *repb.ActionResult) {
	r.t.Helper()
	if err := r.update(result); err != nil {
		r.t.Fatal(err)
	}
}

// outcomes checks a counter.
func (r *rig) outcomes(name, outcome string, want int) {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			if m.Label[0].GetValue() == outcome && int(m.Counter.GetValue()) != want {
				r.t.Errorf("%s{outcome=%q} = %v, want %d", name, outcome, m.Counter.GetValue(), want)
			}
		}
	}
}

func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func toProto(d digest.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()} }

func fromProto(tb testing.TB, d *repb.Digest) digest.Digest {
	tb.Helper()
	parsed, err := digest.Parse(digest.SHA256, d.Hash, d.SizeBytes)
	if err != nil {
		tb.Fatal(err)
	}
	return parsed
}

func unstored(content string) *repb.Digest {
	return toProto(digest.Of(digest.SHA256, []byte(content)))
}

// TestRule26_BytesComeBack checks that what is stored is what was sent: node
// properties, symlinks in the current and the deprecated fields, and fields of
// a later protocol.
func TestRule26_BytesComeBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	props := &repb.NodeProperties{
		Properties: []*repb.NodeProperty{{Name: "owner", Value: "me"}},
		Mtime:      &timestamppb.Timestamp{Seconds: 12345}, UnixMode: wrapperspb.UInt32(0o755),
	}
	link := []*repb.OutputSymlink{{Path: "l", Target: "../out", NodeProperties: props}}
	sent := marshal(t, &repb.ActionResult{
		OutputFiles:             []*repb.OutputFile{{Path: "f", Digest: r.put([]byte("f")), NodeProperties: props}},
		OutputSymlinks:          link,
		OutputFileSymlinks:      link,
		OutputDirectorySymlinks: []*repb.OutputSymlink{{Path: "m", Target: "/abs"}},
		ExitCode:                7,
	})
	sent = append(sent, "\xc2\x3e\x03new"...) // field 1000
	stored, err := r.Update(t.Context(), "", r.action, sent)
	if err != nil || !bytes.Equal(stored, sent) {
		t.Fatalf("Update answered %q, %v", stored, err)
	}
	got, err := r.Get(t.Context(), Request{Action: r.action})
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("Get answered %q, %v, want %q", got, err, sent)
	}
}

func TestGetAbsent(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	if _, err := r.get(Inline{}); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
	r.outcomes("larder_action_cache_lookups_total", "absent", 1)
}

// TestRule22_Complete checks, for each way a result can refer to a blob, that
// the blob must be there, and that a failure to look is not a miss.
func TestRule22_Complete(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	fileNode := func(name string) *repb.FileNode {
		return &repb.FileNode{Name: name, Digest: r.put([]byte("content of " + name))}
	}
	dirNode := func(name string, d *repb.Directory) *repb.DirectoryNode {
		return &repb.DirectoryNode{Name: name, Digest: r.putMessage(d)}
	}
	leaf := &repb.Directory{Files: []*repb.FileNode{fileNode("in-root-child")}}
	hierarchy := &repb.Directory{
		Files:       []*repb.FileNode{fileNode("in-root")},
		Directories: []*repb.DirectoryNode{dirNode("a", leaf), dirNode("b", leaf)},
	}
	tree := &repb.Tree{
		Root:     &repb.Directory{Files: []*repb.FileNode{fileNode("in-tree")}, Directories: []*repb.DirectoryNode{{Name: "c", Digest: unstored("inside the tree")}}},
		Children: []*repb.Directory{{Files: []*repb.FileNode{fileNode("in-tree-child"), fileNode("in-tree")}}},
	}
	result := &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{{Path: "f", Digest: r.put([]byte("f"))}, {Path: "empty", Digest: unstored("")}},
		OutputDirectories: []*repb.OutputDirectory{
			{Path: "t", TreeDigest: r.putMessage(tree), IsTopologicallySorted: true},
			{Path: "h", RootDirectoryDigest: r.putMessage(hierarchy)},
		},
		StdoutDigest: r.put([]byte("out")),
		StderrDigest: r.put([]byte("err")),
	}
	r.mustUpdate(result)
	r.store.finds = 0
	got, err := r.get(Inline{})
	if err != nil || !proto.Equal(got, result) {
		t.Fatalf("Get = %v, %v", got, err)
	}
	// A file, two streams, two files in the tree (one of them twice) and two
	// in the hierarchy; trees and directories are read instead.
	if r.store.finds != 1 || len(r.store.asked) != 7 {
		t.Errorf("%d calls of FindMissing, the last with %d blobs, want 1 with 7", r.store.finds, len(r.store.asked))
	}
	for name, d := range map[string]*repb.Digest{
		"output file":                   result.OutputFiles[0].Digest,
		"tree":                          result.OutputDirectories[0].TreeDigest,
		"file in the tree's root":       tree.Root.Files[0].Digest,
		"file in the tree's child":      tree.Children[0].Files[0].Digest,
		"root directory":                result.OutputDirectories[1].RootDirectoryDigest,
		"file in the root directory":    hierarchy.Files[0].Digest,
		"child of the root directory":   hierarchy.Directories[0].Digest,
		"file in the directory's child": leaf.Files[0].Digest,
		"stdout":                        result.StdoutDigest,
		"stderr":                        result.StderrDigest,
	} {
		t.Run(name, func(t *testing.T) {
			key := r.opts.Namespace.CAS("", fromProto(t, d))
			r.store.fail = func(_ string, k blobstore.Key) error {
				if k == key {
					return blobstore.ErrUnavailable
				}
				return nil
			}
			if _, err := r.get(Inline{}); !errors.Is(err, blobstore.ErrUnavailable) || errors.Is(err, blobstore.ErrNotFound) {
				t.Errorf("with a failing store: %v, want only ErrUnavailable", err)
			}
			r.store.fail = nil
			content := r.content(key)
			r.remove(d)
			if _, err := r.get(Inline{}); !errors.Is(err, blobstore.ErrNotFound) {
				t.Errorf("with the blob missing: %v, want ErrNotFound", err)
			}
			r.put(content)
			if _, err := r.get(Inline{}); err != nil {
				t.Errorf("with the blob back: %v", err)
			}
		})
	}
	r.outcomes("larder_action_cache_lookups_total", "incomplete", 10)
	r.outcomes("larder_action_cache_lookups_total", "failed", 10)
}

// TestManyReferences checks a tree of more files than are looked for at once.
func TestManyReferences(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	root := &repb.Directory{}
	var last *repb.Digest
	for i := range maxKeys + 100 {
		last = r.put(fmt.Append(nil, i))
		root.Files = append(root.Files, &repb.FileNode{Name: fmt.Sprint(i), Digest: last})
	}
	result := &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "t", TreeDigest: r.putMessage(&repb.Tree{Root: root})}}}
	r.mustUpdate(result)
	r.store.finds = 0
	if _, err := r.get(Inline{}); err != nil || r.store.finds != 2 {
		t.Errorf("Get = %v, with %d calls of FindMissing, want 2", err, r.store.finds)
	}
	r.remove(last)
	if _, err := r.get(Inline{}); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
}

func TestSkipCompleteness(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{SkipCompleteness: true})
	result := &repb.ActionResult{StdoutDigest: unstored("out")}
	r.mustUpdate(result)
	got, err := r.get(Inline{Stdout: true})
	if err != nil || !proto.Equal(got, result) {
		t.Errorf("Get = %v, %v", got, err)
	}
}

// TestStoredGarbage checks that a stored result that is none is a miss, is
// counted, and is gone afterwards.
func TestStoredGarbage(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"no message": []byte("opaque"),
		"bad digest": marshal(t, &repb.ActionResult{StdoutDigest: &repb.Digest{Hash: "abc"}}),
		"too large":  make([]byte, MaxResultBytes+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			key := r.opts.Namespace.AC("", r.action)
			spec := blobstore.Spec{Key: key, Size: int64(len(data))}
			if err := r.store.Put(t.Context(), []blobstore.Blob{{Spec: spec, Data: data}})[0]; err != nil {
				t.Fatal(err)
			}
			if _, err := r.get(Inline{}); !errors.Is(err, blobstore.ErrNotFound) {
				t.Errorf("Get = %v, want ErrNotFound", err)
			}
			if missing, err := r.store.FindMissing(t.Context(), []blobstore.Key{key}); err != nil || len(missing) != 1 {
				t.Errorf("the bad result is still there: %v, %v", missing, err)
			}
			r.outcomes("larder_action_cache_lookups_total", "bad", 1)
		})
	}
}

// TestCorruptIsMiss checks that a result, or a tree, that the store has
// dropped as corrupt is a miss, not DATA_LOSS: an action can be run again.
func TestCorruptIsMiss(t *testing.T) {
	t.Parallel()
	for _, kind := range []blobstore.Kind{blobstore.AC, blobstore.CAS} {
		r := newRig(t, Options{})
		r.mustUpdate(&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "t", TreeDigest: r.putMessage(&repb.Tree{Root: &repb.Directory{}})}}})
		r.store.fail = func(verb string, k blobstore.Key) error {
			if verb == "get" && k.Kind == kind {
				return blobstore.ErrCorrupt
			}
			return nil
		}
		if _, err := r.get(Inline{}); !errors.Is(err, blobstore.ErrNotFound) || errors.Is(err, blobstore.ErrCorrupt) {
			t.Errorf("corrupt %v: %v, want only ErrNotFound", kind, err)
		}
	}
}

func TestRule24_UpdateRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{MaxTreeBytes: 4096})
	outDir := func(d *repb.OutputDirectory) *repb.ActionResult {
		d.Path = "t"
		return &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{d}}
	}
	badDir := &repb.Directory{Files: []*repb.FileNode{{Name: "..", Digest: unstored("x")}}}
	badLink := &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "s"}}}
	good := &repb.Directory{}
	parent := &repb.Directory{Directories: []*repb.DirectoryNode{{Name: "d", Digest: r.putMessage(badDir)}}}
	for name, tt := range map[string]struct {
		result *repb.ActionResult
		field  string
		reason string
	}{
		"absolute path":   {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "/a", Digest: unstored("")}}}, "output_files[0].path", "must be relative"},
		"digest":          {&repb.ActionResult{StdoutDigest: &repb.Digest{Hash: "x"}}, "stdout_digest", "digest hash"},
		"tree is none":    {outDir(&repb.OutputDirectory{TreeDigest: r.put([]byte("garbage"))}), "output_directories[0].tree_digest", "well-formed"},
		"name in a tree":  {outDir(&repb.OutputDirectory{TreeDigest: r.putMessage(&repb.Tree{Root: good, Children: []*repb.Directory{badDir}})}), "output_directories[0].tree_digest.children[0].files[0].name", `"." or ".."`},
		"symlink in root": {outDir(&repb.OutputDirectory{TreeDigest: r.putMessage(&repb.Tree{Root: badLink})}), "output_directories[0].tree_digest.root.symlinks[0].target", "must not be empty"},
		"not sorted":      {outDir(&repb.OutputDirectory{TreeDigest: r.put([]byte("\x12\x00\x0a\x00")), IsTopologicallySorted: true}), "output_directories[0].tree_digest.children[0]", "topologically sorted"},
		"large tree":      {outDir(&repb.OutputDirectory{TreeDigest: &repb.Digest{Hash: unstored("").Hash, SizeBytes: 4097}}), "output_directories[0].tree_digest.output_directories", "4096 bytes in all"},
		"directory":       {outDir(&repb.OutputDirectory{RootDirectoryDigest: r.putMessage(parent)}), "output_directories[0].root_directory_digest.directory " + parent.Directories[0].Digest.Hash, `"." or ".."`},
		"inlined stdout":  {&repb.ActionResult{StdoutRaw: []byte("other"), StdoutDigest: unstored("right")}, "stdout_raw", "does not match"},
		"inlined file":    {&repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "f", Contents: []byte("abc"), Digest: unstored("abcd")}}}, "output_files[0].contents", "does not match"},
		"too large":       {&repb.ActionResult{ExecutionMetadata: &repb.ExecutedActionMetadata{Worker: strings.Repeat("w", MaxResultBytes)}}, "", "more than 4194304"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action := digest.Of(digest.SHA256, []byte(name))
			_, err := r.Update(t.Context(), "", action, marshal(t, tt.result))
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !strings.HasPrefix(invalid.Field, tt.field) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("Update = %v, want an InvalidError of %s: %s", err, tt.field, tt.reason)
			}
			if _, err := r.Get(t.Context(), Request{Action: action}); !errors.Is(err, blobstore.ErrNotFound) {
				t.Errorf("the refused result was stored: %v", err)
			}
		})
	}
}

// TestUpdateBeforeOutputs checks that outputs, trees too, may be uploaded
// after the result, and that until then the result is a miss.
func TestUpdateBeforeOutputs(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	tree := marshal(t, &repb.Tree{Root: &repb.Directory{}})
	r.mustUpdate(&repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "t", TreeDigest: unstored(string(tree)), RootDirectoryDigest: unstored("")}}})
	if _, err := r.get(Inline{}); !errors.Is(err, blobstore.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
	r.put(tree)
	if _, err := r.get(Inline{}); err != nil {
		t.Errorf("Get after the upload = %v", err)
	}
}

// TestInlinedByClient checks that inlined content is in the CAS before the
// result is stored, that missing digests are filled in, and that the content
// is inlined again only when asked for.
func TestInlinedByClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	sent := &repb.ActionResult{
		OutputFiles: []*repb.OutputFile{
			{Path: "a", Digest: unstored("aaa"), Contents: []byte("aaa"), IsExecutable: true},
			{Path: "b", Contents: []byte("bb")},
			{Path: "c", Digest: r.put([]byte("c"))},
		},
		StdoutRaw:    []byte("out"),
		StderrRaw:    []byte("err"),
		StderrDigest: unstored("err"),
	}
	r.mustUpdate(sent)
	kinds := ""
	for _, k := range r.store.written {
		kinds += k.Kind.String() + " "
	}
	if kinds != strings.Repeat("cas ", 4)+"ac " {
		t.Errorf("written in the order %s", kinds)
	}
	want := proto.Clone(sent).(*repb.ActionResult)
	want.OutputFiles[1].Digest, want.StdoutDigest = unstored("bb"), unstored("out")
	all, err := r.get(Inline{Stdout: true, Stderr: true, OutputFiles: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, all, protocmp.Transform()); diff != "" {
		t.Errorf("inlined: %s", diff)
	}
	for _, f := range want.OutputFiles {
		f.Contents = nil
	}
	want.StdoutRaw, want.StderrRaw = nil, nil
	plain, err := r.get(Inline{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, plain, protocmp.Transform()); diff != "" {
		t.Errorf("not inlined: %s", diff)
	}
}

// TestContentsMustBeStored checks that a result is not stored when its inlined
// content could not be.
func TestContentsMustBeStored(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.store.fail = func(verb string, k blobstore.Key) error {
		if verb == "put" && k.Kind == blobstore.CAS {
			return blobstore.ErrNoSpace
		}
		return nil
	}
	if err := r.update(&repb.ActionResult{StdoutRaw: []byte("out")}); !errors.Is(err, blobstore.ErrNoSpace) {
		t.Errorf("Update = %v, want ErrNoSpace", err)
	}
	if slices.ContainsFunc(r.store.written, func(k blobstore.Key) bool { return k.Kind == blobstore.AC }) {
		t.Error("the result was stored without its content")
	}
}

func TestRule23_InlineLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	big, small := bytes.Repeat([]byte("b"), 2000), []byte("small")
	result := &repb.ActionResult{
		OutputFiles:  []*repb.OutputFile{{Path: "big", Digest: r.put(big)}, {Path: "small", Digest: r.put(small)}},
		StdoutDigest: r.put([]byte("out")),
		StderrDigest: unstored(""),
	}
	r.mustUpdate(result)
	paths := []string{"big", "small", "unknown", "1", "2", "3", "4", "5", "6", "7"}
	in := Inline{Stdout: true, Stderr: true, OutputFiles: paths, MaxBytes: 1500}
	data, err := r.Get(t.Context(), Request{Action: r.action, Inline: in})
	if err != nil || len(data) > 1500 {
		t.Fatalf("Get = %d bytes, %v", len(data), err)
	}
	got := new(repb.ActionResult)
	if err := proto.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	want := proto.Clone(result).(*repb.ActionResult)
	want.StdoutRaw, want.OutputFiles[1].Contents = []byte("out"), small
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	in.MaxBytes, in.OutputFiles = 0, paths[:1]
	if got, err = r.get(in); err != nil || !bytes.Equal(got.OutputFiles[0].Contents, big) || got.OutputFiles[1].Contents != nil {
		t.Errorf("without a limit: %v, %v", got, err)
	}
}

func TestInlineGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.mustUpdate(&repb.ActionResult{StdoutDigest: r.put([]byte("out"))})
	for _, tt := range []struct{ fail, want error }{
		{blobstore.ErrCorrupt, blobstore.ErrNotFound},
		{blobstore.ErrNotFound, blobstore.ErrNotFound},
		{blobstore.ErrUnavailable, blobstore.ErrUnavailable},
	} {
		r.store.fail = func(verb string, k blobstore.Key) error {
			if verb == "get" && k.Kind == blobstore.CAS {
				return tt.fail
			}
			return nil
		}
		if _, err := r.get(Inline{Stdout: true}); !errors.Is(err, tt.want) || errors.Is(err, blobstore.ErrCorrupt) {
			t.Errorf("with %v: %v, want %v", tt.fail, err, tt.want)
		}
	}
}

func TestRule25_EmptyResult(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.mustUpdate(&repb.ActionResult{})
	data, err := r.Get(t.Context(), Request{Action: r.action})
	if err != nil || len(data) == 0 {
		t.Fatalf("Get = %d bytes, %v", len(data), err)
	}
	if got, _ := r.get(Inline{}); got.GetExecutionMetadata().GetWorker() != UnknownWorker {
		t.Errorf("worker = %q", got.GetExecutionMetadata().GetWorker())
	}
}

func TestInstancesAreApart(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		r := newRig(t, Options{Namespace: blobstore.Namespace{ShareAC: shared}})
		if _, err := r.Update(t.Context(), "a", r.action, marshal(t, &repb.ActionResult{ExitCode: 1})); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Get(t.Context(), Request{Instance: "b", Action: r.action}); (err == nil) != shared {
			t.Errorf("ShareAC %v: Get = %v", shared, err)
		}
	}
}

// TestScratchIsNotShared runs requests at the same time, for the race detector
// and for mixed-up scratch memory.
func TestScratchIsNotShared(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			content := fmt.Append(nil, "content", i)
			action := digest.Of(digest.SHA256, content)
			tree := &repb.Tree{Root: &repb.Directory{Files: []*repb.FileNode{{Name: "x", Digest: r.put(content)}}}}
			sent := marshal(t, &repb.ActionResult{
				OutputFiles:       []*repb.OutputFile{{Path: "f", Digest: r.put(content)}},
				OutputDirectories: []*repb.OutputDirectory{{Path: "t", TreeDigest: r.putMessage(tree)}},
			})
			for range 50 {
				if _, err := r.Update(t.Context(), "", action, sent); err != nil {
					t.Error(err)
				}
				got, err := r.Get(t.Context(), Request{Action: action, Inline: Inline{OutputFiles: []string{"f"}}})
				if err != nil || !bytes.Contains(got, content) {
					t.Errorf("Get = %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestMetricNames(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	if problems, err := testutil.GatherAndLint(r.reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
