package storetest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

func concurrentClauses() []clause {
	return []clause{
		{"writes of one blob all succeed", testConcurrentCommit},
		{"overwriting of an action result leaves one of them", testConcurrentOverwrite},
		{"readers share a blob", func(t *testing.T, s blobstore.Store) {
			c := Content(1<<20, 1)
			mustWrite(t, s, identity(CAS(c), c))
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					if err := readBack(t, s, CAS(c), c, 10_000+i); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}},
		{"verbs of all kinds agree", func(t *testing.T, s blobstore.Store) {
			Hammer(t, s, Options{})
		}},
	}
}

// readBack reads a blob and compares it, for use beside the test's goroutine.
func readBack(t *testing.T, s blobstore.Store, key blobstore.Key, want []byte, step int) error {
	r, err := s.Get(t.Context(), key)
	if err != nil {
		return fmt.Errorf("Get %v: %w", key, err)
	}
	defer r.Close()
	var got bytes.Buffer
	if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{r}, make([]byte, step)); err != nil {
		return fmt.Errorf("reading %v: %w", key, err)
	}
	content, err := decodeStored(r, got.Bytes())
	if err != nil {
		return fmt.Errorf("reading %v: %w", key, err)
	}
	if !bytes.Equal(content, want) {
		return fmt.Errorf("%v has wrong content", key)
	}
	return nil
}

func testConcurrentCommit(t *testing.T, s blobstore.Store) {
	c := Content(300_000, 1)
	blobs := []blobstore.Blob{identity(CAS(c), c), compressed(CAS(c), c)}
	// All are begun and filled before any is committed.
	var writers []blobstore.Writer
	for i := range 8 {
		w := begin(t, s, blobs[i%2].Spec)
		mustFill(t, w, blobs[i%2].Data)
		writers = append(writers, w)
	}
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() {
			if err := w.Commit(); err != nil {
				t.Errorf("Commit: %v", err)
			}
			if err := readBack(t, s, CAS(c), c, 4096); err != nil {
				t.Errorf("after Commit: %v", err)
			}
		})
	}
	for _, b := range blobs {
		wg.Go(func() {
			if err := s.Put(t.Context(), []blobstore.Blob{b})[0]; err != nil {
				t.Errorf("Put: %v", err)
			}
		})
	}
	wg.Wait()
	wantContent(t, s, CAS(c), c)
}

func testConcurrentOverwrite(t *testing.T, s blobstore.Store) {
	key := AC("", "action")
	const writers, rounds = 4, 25
	version := func(w, i int) []byte { return Content(500+w, uint64(i)) }
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				if err := s.Put(t.Context(), []blobstore.Blob{identity(key, version(w, i))})[0]; err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	wg.Wait()
	got := stored(t, s, key)
	content := decode(t, open(t, s, key), got)
	for w := range writers {
		if bytes.Equal(content, version(w, rounds-1)) {
			return
		}
	}
	t.Error("what is left is the last write of none of the writers")
}
