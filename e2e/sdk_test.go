package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	sdk "github.com/bazelbuild/remote-apis-sdks/go/pkg/client"
	"github.com/bazelbuild/remote-apis-sdks/go/pkg/digest"
	"github.com/bazelbuild/remote-apis-sdks/go/pkg/uploadinfo"
	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"

	"github.com/larder-build/larder/internal/testenv"
)

// TestSDK stores and fetches with the client library that other build tools
// use: unlike Bazel it batches small blobs, and compresses batches.
func TestSDK(t *testing.T) {
	testenv.NeedsProcesses(t)
	for _, tc := range []struct {
		name     string
		instance string
		opts     []sdk.Opt
	}{
		{"batches", "", nil},
		{"batches with an instance", "team/product", nil},
		{"compressed batches", "", []sdk.Opt{sdk.UseBatchCompression(true)}},
		{"no batches", "", []sdk.Opt{sdk.UseBatchOps(false)}},
		{"compressed streams", "", []sdk.Opt{sdk.UseBatchOps(false), sdk.CompressedBytestreamThreshold(0)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := larder.Start(t, testenv.Options{})
			c, err := sdk.NewClient(t.Context(), tc.instance, sdk.DialParams{Service: server.GRPC, NoSecurity: true}, tc.opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			trySDK(t, c)
		})
	}
}

func trySDK(t *testing.T, c *sdk.Client) {
	t.Helper()
	contents := make(map[digest.Digest][]byte)
	var entries []*uploadinfo.Entry
	outputs := make(map[digest.Digest]*sdk.TreeOutput)
	dir := t.TempDir()
	for i := range uint64(300) {
		data := blob{number: i, size: 8 + int(i*i*i)/10}.data()
		d := digest.NewFromBlob(data)
		contents[d] = data
		entries = append(entries, uploadinfo.EntryFromBlob(data))
		outputs[d] = &sdk.TreeOutput{Digest: d, Path: d.Hash}
	}
	for _, want := range []int{len(entries), 0} {
		uploaded, _, err := c.UploadIfMissing(t.Context(), entries...)
		if err != nil || len(uploaded) != want {
			t.Fatalf("%d blobs uploaded, error %v; want %d", len(uploaded), err, want)
		}
	}
	if _, err := c.DownloadFiles(t.Context(), dir, outputs); err != nil {
		t.Fatal(err)
	}
	for d, want := range contents {
		if got, err := os.ReadFile(filepath.Join(dir, d.Hash)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("blob %v: %d bytes, error %v", d, len(got), err)
		}
	}
	requireSDKResult(t, c, entries)
}

func requireSDKResult(t *testing.T, c *sdk.Client, entries []*uploadinfo.Entry) {
	t.Helper()
	action := entries[0].Digest.ToProto()
	missed, err := c.CheckActionCache(t.Context(), action)
	if err != nil || missed != nil {
		t.Fatalf("before: %v, %v; want nothing", missed, err)
	}
	want := &repb.ActionResult{OutputFiles: []*repb.OutputFile{{Path: "out", Digest: entries[1].Digest.ToProto()}}, ExitCode: 0}
	if _, err := c.UpdateActionResult(t.Context(), &repb.UpdateActionResultRequest{InstanceName: c.InstanceName, ActionDigest: action, ActionResult: want}); err != nil {
		t.Fatal(err)
	}
	got, err := c.CheckActionCache(t.Context(), action)
	if err != nil || len(got.GetOutputFiles()) != 1 || got.GetOutputFiles()[0].GetDigest().GetHash() != entries[1].Digest.Hash {
		t.Errorf("after: %v, %v; want %v", got, err, want)
	}
}
