package reapi

import (
	"context"
	"fmt"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/reapi/codec"
)

// pages collects what a handler sends.
type pages struct {
	grpc.ServerStream
	ctx  context.Context
	sent []*repb.GetTreeResponse
}

func (p *pages) Context() context.Context { return p.ctx }

func (p *pages) SendMsg(m any) error {
	page := new(repb.GetTreeResponse)
	p.sent = append(p.sent, page)
	return proto.Unmarshal(m.(*codec.Response).Bytes(), page)
}

// TestRule21_TreeInManyCalls checks that a call ends after as many directories
// as it may keep apart, and that the token leads to the rest.
func TestRule21_TreeInManyCalls(t *testing.T) {
	t.Parallel()
	store := memory.New(memory.Options{})
	s := New(Options{Store: store})
	defer s.Close()
	put := func(name string, children ...*repb.Digest) *repb.Digest {
		dir := &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "name", Target: name}}}
		for i, c := range children {
			dir.Directories = append(dir.Directories, &repb.DirectoryNode{Name: fmt.Sprint("d", i), Digest: c})
		}
		wire, err := proto.Marshal(dir)
		if err != nil {
			t.Fatal(err)
		}
		d := digest.Of(digest.SHA256, wire)
		spec := blobstore.Spec{Key: blobstore.Namespace{}.CAS("", d), Size: d.Size()}
		if err := store.Put(t.Context(), []blobstore.Blob{{Spec: spec, Data: wire}})[0]; err != nil {
			t.Fatal(err)
		}
		return &repb.Digest{Hash: d.Hex(), SizeBytes: d.Size()}
	}
	root := put("root", put("a", put("a1"), put("a2")), put("b"), put("c", put("c1")))
	const want = "root a a1 a2 b c c1"
	for most := 1; most <= 8; most++ {
		var got []string
		req := &repb.GetTreeRequest{RootDigest: root}
		for calls := 1; ; calls++ {
			wire, err := proto.Marshal(req)
			if err != nil {
				t.Fatal(err)
			}
			stream := &pages{ctx: t.Context()}
			if err := s.getTreeUpTo(most, codec.NewRequest(wire), stream); err != nil {
				t.Fatal(err)
			}
			for _, p := range stream.sent {
				for _, d := range p.Directories {
					got = append(got, d.Symlinks[0].Target)
				}
				req.PageToken = p.NextPageToken
			}
			if len(got) > calls*most {
				t.Errorf("%d calls of at most %d gave %d directories", calls, most, len(got))
			}
			if req.PageToken == "" || calls > len(want) {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("in calls of %d: %v, want %s", most, got, want)
		}
	}
}
