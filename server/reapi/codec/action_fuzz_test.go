package codec

import (
	"slices"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
)

func FuzzCodecGetActionResult(f *testing.F) {
	seed(f,
		&repb.GetActionResultRequest{},
		&repb.GetActionResultRequest{
			InstanceName: "a/b", ActionDigest: someDigests[1], InlineStdout: true, InlineStderr: true,
			InlineOutputFiles: []string{"x", "y/z"}, DigestFunction: repb.DigestFunction_BLAKE3,
		},
	)
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m GetActionResult
		want := new(repb.GetActionResultRequest)
		if !agree(t, m.Decode(r), proto.Unmarshal(wire, want)) {
			return
		}
		sameDigest(t, m.Action, want.ActionDigest)
		if m.Instance != want.InstanceName || m.HasAction != (want.ActionDigest != nil) || m.Function != int32(want.DigestFunction) ||
			m.InlineStdout != want.InlineStdout || m.InlineStderr != want.InlineStderr || !slices.Equal(m.InlineFiles, want.InlineOutputFiles) {
			t.Fatalf("%+v, want %v", m, want)
		}
	})
}

func FuzzCodecUpdateActionResult(f *testing.F) {
	result := &repb.ActionResult{ExitCode: 3, StdoutRaw: []byte("out"), StdoutDigest: someDigests[0]}
	seed(f,
		&repb.UpdateActionResultRequest{},
		&repb.UpdateActionResultRequest{ActionDigest: someDigests[0], ActionResult: result, ResultsCachePolicy: &repb.ResultsCachePolicy{Priority: 1}},
	)
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m UpdateActionResult
		err := m.Decode(r)
		want := new(repb.UpdateActionResultRequest)
		wantErr := proto.Unmarshal(wire, want)
		if err != nil {
			agree(t, err, wantErr)
			return
		}
		got := new(repb.ActionResult)
		// The result itself is not looked into, so it may be what is wrong.
		if !agree(t, proto.Unmarshal(m.Result, got), wantErr) {
			return
		}
		sameDigest(t, m.Action, want.ActionDigest)
		if m.Instance != want.InstanceName || m.HasAction != (want.ActionDigest != nil) || m.Function != int32(want.DigestFunction) ||
			m.HasResult != (want.ActionResult != nil) || m.HasResult && !proto.Equal(got, want.ActionResult) {
			t.Fatalf("%+v, want %v", m, want)
		}
	})
}

func FuzzCodecGetTree(f *testing.F) {
	seed(f,
		&repb.GetTreeRequest{},
		&repb.GetTreeRequest{InstanceName: "i", RootDigest: someDigests[1], PageSize: -7, PageToken: "token", DigestFunction: repb.DigestFunction_SHA1},
	)
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		r := split(wire, n)
		defer r.Free()
		var m GetTree
		want := new(repb.GetTreeRequest)
		if !agree(t, m.Decode(r), proto.Unmarshal(wire, want)) {
			return
		}
		sameDigest(t, m.Root, want.RootDigest)
		if m.Instance != want.InstanceName || m.HasRoot != (want.RootDigest != nil) || m.Function != int32(want.DigestFunction) ||
			m.PageSize != want.PageSize || m.PageToken != want.PageToken {
			t.Fatalf("%+v, want %v", m, want)
		}
	})
}

func TestGetTreePage(t *testing.T) {
	t.Parallel()
	small := &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "a", Target: "b"}}}
	large := &repb.Directory{Symlinks: []*repb.SymlinkNode{{Name: "a", Target: string(make([]byte, treePageRoom))}}}
	for _, want := range []*repb.GetTreeResponse{
		{},
		{NextPageToken: "only a token"},
		{Directories: []*repb.Directory{small, {}, small}, NextPageToken: "next"},
		{Directories: []*repb.Directory{small, large}},
	} {
		var p GetTreePage
		for _, d := range want.Directories {
			wire, err := proto.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			p.Add(wire)
		}
		if p.Count() != len(want.Directories) {
			t.Errorf("Count() = %d, want %d", p.Count(), len(want.Directories))
		}
		same(t, p.Response(want.NextPageToken).Bytes(), want)
		if p.Count() != 0 || p.Len() != 0 {
			t.Error("the page is not empty after Response")
		}
	}
}
