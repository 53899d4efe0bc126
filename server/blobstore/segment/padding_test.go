package segment

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

// TestLastLargeRecordSurvivesCrash leaves a blob that was streamed as the last
// of its file, in every position of its end within the alignment.
func TestLastLargeRecordSurvivesCrash(t *testing.T) {
	t.Parallel()
	for over := range recordAlign {
		dir, crashed := t.TempDir(), t.TempDir()
		s := openStore(t, Options{Dir: dir, MaxBytes: 64 << 20})
		content := storetest.Content(blobstore.ReadBlock+1000+over, uint64(over))
		w, err := s.Create(t.Context(), blobstore.Spec{Key: storetest.CAS(content), Size: int64(len(content))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		again := openStore(t, Options{Dir: crashed, MaxBytes: 64 << 20})
		r, err := again.Get(t.Context(), storetest.CAS(content))
		if err != nil {
			t.Fatalf("%d bytes: %v", len(content), err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d, error %v", len(content), len(got), err)
		}
	}
}
