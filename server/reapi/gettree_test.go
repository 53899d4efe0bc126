package reapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/reapi"
)

// dir stores a directory with one file of the given name, which tells it from
// others, and the children, and returns its digest.
func (h *harness) dir(name string, children ...*repb.Digest) *repb.Digest {
	h.tb.Helper()
	return h.putMessage(directory(name, children...))
}

func directory(name string, children ...*repb.Digest) *repb.Directory {
	d := &repb.Directory{Files: []*repb.FileNode{{Name: name, Digest: sha256Of([]byte(name))}}}
	for i, c := range children {
		d.Directories = append(d.Directories, &repb.DirectoryNode{Name: fmt.Sprintf("d%05d", i), Digest: c})
	}
	return d
}

// tree calls GetTree and returns its pages.
func (h *harness) tree(req *repb.GetTreeRequest) (pages []*repb.GetTreeResponse, err error) {
	h.tb.Helper()
	stream, err := h.cas.GetTree(h.ctx(), req)
	if err != nil {
		h.tb.Fatal(err)
	}
	for {
		page, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return pages, nil
		}
		if err != nil {
			return pages, err
		}
		pages = append(pages, page)
	}
}

// names returns the names that dir gave the directories of the pages.
func names(pages []*repb.GetTreeResponse) []string {
	var out []string
	for _, p := range pages {
		for _, d := range p.Directories {
			out = append(out, d.Files[0].Name)
		}
	}
	return out
}

func (h *harness) wantTree(req *repb.GetTreeRequest, want string) []*repb.GetTreeResponse {
	h.tb.Helper()
	pages, err := h.tree(req)
	if err != nil {
		h.tb.Fatal(err)
	}
	if got := strings.Join(names(pages), " "); got != want {
		h.tb.Errorf("tree is %q, want %q", got, want)
	}
	if last := pages[len(pages)-1]; last.NextPageToken != "" {
		h.tb.Error("the last page has a next_page_token")
	}
	return pages
}

func TestRule21_TreeOnce(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	leaf := h.dir("leaf")
	root := h.dir("root", h.dir("a", leaf), h.dir("b", leaf, leaf), leaf)
	h.wantTree(&repb.GetTreeRequest{RootDigest: root}, "root a leaf b")
}

func TestRule21_Pages(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	var tops []*repb.Digest
	for i := range 3 {
		tops = append(tops, h.dir(fmt.Sprint(i), h.dir(fmt.Sprint(i, "a")), h.dir(fmt.Sprint(i, "b"), h.dir(fmt.Sprint(i, "b1")))))
	}
	root := h.dir("root", tops...)
	all, err := h.tree(&repb.GetTreeRequest{RootDigest: root})
	if err != nil {
		t.Fatal(err)
	}
	want := names(all)
	if len(all) != 1 || len(want) != 13 {
		t.Fatalf("%d pages of %d directories", len(all), len(want))
	}
	for size := int32(1); size <= 14; size++ {
		pages := h.wantTree(&repb.GetTreeRequest{RootDigest: root, PageSize: size}, strings.Join(want, " "))
		seen := 0
		for i, p := range pages {
			if len(p.Directories) > int(size) {
				t.Errorf("page_size %d: a page has %d directories", size, len(p.Directories))
			}
			seen += len(p.Directories)
			if i == len(pages)-1 {
				break
			}
			// Every token resumes right after its page, also on a server that
			// has just started.
			fresh := start(t, reapi.Options{Store: h.store.Store})
			fresh.wantTree(&repb.GetTreeRequest{RootDigest: root, PageSize: size, PageToken: p.NextPageToken}, strings.Join(want[seen:], " "))
		}
	}
}

func TestRule21_MissingSubtree(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	gone := sha256Of([]byte("nowhere"))
	root := h.dir("root", gone, h.dir("a", gone, h.dir("b")), h.dir("c"))
	h.wantTree(&repb.GetTreeRequest{RootDigest: root}, "root a b c")
	_, err := h.tree(&repb.GetTreeRequest{RootDigest: gone})
	wantCode(t, err, codes.NotFound, gone.Hash)
	page, err := h.tree(&repb.GetTreeRequest{RootDigest: root, PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := start(t, reapi.Options{})
	_, err = elsewhere.tree(&repb.GetTreeRequest{RootDigest: root, PageToken: page[0].NextPageToken})
	wantCode(t, err, codes.NotFound, root.Hash)
}

// TestRule21_FailureIsNoMiss checks that a subtree is left out only where it
// is certainly missing.
func TestRule21_FailureIsNoMiss(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	root := h.dir("root", h.dir("a"))
	for _, tt := range storeErrors {
		h.store.set(func(s *faults) { s.getErr = tt.err })
		_, err := h.tree(&repb.GetTreeRequest{RootDigest: root})
		wantCode(t, err, tt.code)
		wantRetryInfo(t, status.Convert(err), tt.retry)
	}
}

// failsOn is a store that fails to read one blob.
type failsOn struct {
	blobstore.Store
	hash string
	err  error
}

func (s *failsOn) Get(ctx context.Context, key blobstore.Key) (blobstore.Reader, error) {
	if key.Digest.Hex() == s.hash {
		return nil, s.err
	}
	return s.Store.Get(ctx, key)
}

// TestRule21_SubtreeFails checks the same below the root, and that a subtree
// that the store has found corrupt, and dropped, is a missing one.
func TestRule21_SubtreeFails(t *testing.T) {
	t.Parallel()
	store := &failsOn{Store: memory.New(memory.Options{})}
	h := start(t, reapi.Options{Store: store})
	sub := h.dir("sub")
	root := h.dir("root", sub, h.dir("other"))
	store.hash = sub.Hash
	for _, tt := range storeErrors {
		store.err = tt.err
		if errors.Is(tt.err, blobstore.ErrCorrupt) {
			h.wantTree(&repb.GetTreeRequest{RootDigest: root}, "root other")
			continue
		}
		_, err := h.tree(&repb.GetTreeRequest{RootDigest: root})
		wantCode(t, err, tt.code)
	}
}

// TestRule21_LargeTree checks that messages stay small, and that a tree of
// doubled directories does not take forever.
func TestRule21_LargeTree(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	var children []*repb.Digest
	for i := range 3000 {
		children = append(children, h.dir(fmt.Sprintf("%0400d", i)))
	}
	pages, err := h.tree(&repb.GetTreeRequest{RootDigest: h.dir("root", children...)})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(names(pages)); got != 3001 {
		t.Errorf("%d directories, want 3001", got)
	}
	for _, p := range pages {
		if proto.Size(p) > 1<<20 {
			t.Errorf("a page has %d bytes", proto.Size(p))
		}
	}
	d := h.dir("0")
	var want []string
	for i := range 60 {
		want = append(want, fmt.Sprint(60-i))
		d = h.dir(fmt.Sprint(i+1), d, d)
	}
	h.wantTree(&repb.GetTreeRequest{RootDigest: d}, strings.Join(append(want, "0"), " "))
}

func TestRule1_EmptyTree(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	pages, err := h.tree(&repb.GetTreeRequest{RootDigest: sha256Of(nil)})
	if err != nil || len(pages) != 1 || len(pages[0].Directories) != 1 || proto.Size(pages[0].Directories[0]) != 0 {
		t.Errorf("got %v, %v, want one empty directory", pages, err)
	}
}

func TestRule8_TreeFunction(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	wire, err := proto.Marshal(&repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "s", Target: "t"}}})
	if err != nil {
		t.Fatal(err)
	}
	root := h.putAs(digest.BLAKE3, "", wire)
	if pages, err := h.tree(&repb.GetTreeRequest{RootDigest: root, DigestFunction: repb.DigestFunction_BLAKE3}); err != nil || len(pages) != 1 {
		t.Errorf("%v, %v", pages, err)
	}
	_, err = h.tree(&repb.GetTreeRequest{RootDigest: root})
	wantCode(t, err, codes.NotFound)
	_, err = h.tree(&repb.GetTreeRequest{RootDigest: root, DigestFunction: repb.DigestFunction_MURMUR3})
	wantCode(t, err, codes.InvalidArgument, "MURMUR3")
}

func TestRule21_BadTreeRequests(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{})
	root := h.dir("root", h.dir("a"), h.dir("b"))
	other := h.dir("other", h.dir("a"))
	pages, err := h.tree(&repb.GetTreeRequest{RootDigest: other, PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	token := pages[0].NextPageToken
	notDir := h.put([]byte("not a directory"))
	huge := h.dir(strings.Repeat("x", 4<<20))
	for name, tt := range map[string]struct {
		req  *repb.GetTreeRequest
		code codes.Code
		word string
	}{
		"no root":            {&repb.GetTreeRequest{}, codes.InvalidArgument, "root_digest is not set"},
		"bad hash":           {&repb.GetTreeRequest{RootDigest: &repb.Digest{Hash: "xyz"}}, codes.InvalidArgument, "digest"},
		"bad size":           {&repb.GetTreeRequest{RootDigest: &repb.Digest{Hash: root.Hash, SizeBytes: -1}}, codes.InvalidArgument, "-1"},
		"wrong size":         {&repb.GetTreeRequest{RootDigest: &repb.Digest{Hash: root.Hash, SizeBytes: root.SizeBytes + 1}}, codes.NotFound, root.Hash},
		"instance":           {&repb.GetTreeRequest{RootDigest: root, InstanceName: "x/uploads"}, codes.InvalidArgument, "uploads"},
		"negative page size": {&repb.GetTreeRequest{RootDigest: root, PageSize: -2}, codes.InvalidArgument, "page_size -2"},
		"token of nothing":   {&repb.GetTreeRequest{RootDigest: root, PageToken: "abc"}, codes.InvalidArgument, `page_token: "abc"`},
		"token of another":   {&repb.GetTreeRequest{RootDigest: root, PageToken: token}, codes.InvalidArgument, "another tree"},
		"no directory":       {&repb.GetTreeRequest{RootDigest: notDir}, codes.InvalidArgument, notDir.Hash},
		"no directory below": {&repb.GetTreeRequest{RootDigest: h.dir("top", notDir)}, codes.InvalidArgument, notDir.Hash},
		"huge directory":     {&repb.GetTreeRequest{RootDigest: h.dir("top", huge)}, codes.FailedPrecondition, "ByteStream.Read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := h.tree(tt.req)
			wantCode(t, err, tt.code, tt.word)
		})
	}
}
