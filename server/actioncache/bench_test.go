package actioncache

import (
	"fmt"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/larder-build/larder/internal/digest"
)

func BenchmarkCache(b *testing.B) {
	r := newRig(b, Options{})
	result := &repb.ActionResult{StdoutDigest: r.put([]byte("out")), StderrDigest: unstored("")}
	for i := range 10 {
		name := fmt.Sprintf("bazel-out/k8-fastbuild/bin/pkg/output%d.o", i)
		result.OutputFiles = append(result.OutputFiles, &repb.OutputFile{Path: name, Digest: r.put([]byte(name))})
	}
	data := marshal(b, result)
	r.mustUpdate(result)
	ctx := b.Context()
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Get(ctx, Request{Action: r.action}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("update", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.store.written = r.store.written[:0]
			if _, err := r.Update(ctx, "", r.action, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		absent := digest.Of(digest.SHA256, []byte("absent"))
		for b.Loop() {
			if _, err := r.Get(ctx, Request{Action: absent}); err == nil {
				b.Fatal("hit")
			}
		}
	})
	b.Run("tree1000", func(b *testing.B) {
		root := &repb.Directory{}
		for i := range 1000 {
			name := fmt.Sprintf("file%04d.js", i)
			root.Files = append(root.Files, &repb.FileNode{Name: name, Digest: r.put([]byte(name))})
		}
		action := digest.Of(digest.SHA256, []byte("tree"))
		data := marshal(b, &repb.ActionResult{OutputDirectories: []*repb.OutputDirectory{{Path: "t", TreeDigest: r.putMessage(&repb.Tree{Root: root})}}})
		if _, err := r.Update(ctx, "", action, data); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Get(ctx, Request{Action: action}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
