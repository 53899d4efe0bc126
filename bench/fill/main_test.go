package main

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFill(t *testing.T) {
	t.Parallel()
	const count = 2*batch + 500
	store := memory.New(memory.Options{MaxBytes: 1 << 20})
	var out bytes.Buffer
	if err := fill(t.Context(), store, count, bufio.NewWriter(&out)); err != nil {
		t.Fatal(err)
	}
	var keys []blobstore.Key
	for line := range strings.Lines(out.String()) {
		var hash string
		var size int64
		if _, err := fmt.Sscanf(strings.Replace(line, "/", " ", 1), "%s %d", &hash, &size); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		d, err := digest.Parse(digest.SHA256, hash, size)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, blobstore.Namespace{}.CAS("", d))
	}
	if missing, err := store.FindMissing(t.Context(), keys); err != nil || len(missing) > 0 || len(keys) < sampleCount {
		t.Errorf("%d of a sample of %d are missing, %v", len(missing), len(keys), err)
	}
	last := newBlob(count - 1).Key
	if missing, err := store.FindMissing(t.Context(), []blobstore.Key{last, newBlob(count).Key}); err != nil || len(missing) != 1 || missing[0] != 1 {
		t.Errorf("the last blob is not the last: missing %v, %v", missing, err)
	}
}

func TestFillTellsOfAFailure(t *testing.T) {
	t.Parallel()
	small := memory.New(memory.Options{MaxBytes: 10})
	if err := fill(t.Context(), small, 5, bufio.NewWriter(&bytes.Buffer{})); err == nil {
		t.Error("filled a store with no room")
	}
	if err := run(t.Context(), t.TempDir(), 1); err == nil {
		t.Error("filled a directory that exists")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/store"
	if err := run(t.Context(), dir, 10); err != nil {
		t.Fatal(err)
	}
}
