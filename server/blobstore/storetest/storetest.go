// Package storetest is the contract of blobstore.Store as tests: every store
// and every decorator around one passes it. A subtest is named after the
// clause of the contract that it holds the store to.
//
// Hammer checks the same promises under a random concurrent load, Benchmark
// measures a store.
package storetest

import (
	"testing"

	"github.com/larder-build/larder/server/blobstore"
)

// MinBytes is what a store under test must have room for, in bytes.
const MinBytes = 128 << 20

// clause is one promise of the contract. It gets an empty store of its own.
type clause struct {
	name string
	test func(t *testing.T, s blobstore.Store)
}

// Run holds the stores that newStore makes to the contract. newStore is called
// for each subtest, and returns an empty store with room for MinBytes; it closes
// the store itself in a t.Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) blobstore.Store) {
	t.Helper()
	groups := map[string][]clause{
		"Get":         getClauses(),
		"Reader":      readerClauses(),
		"Put":         putClauses(),
		"Writer":      append(writerClauses(), writerUseClauses()...),
		"Verify":      verifyClauses(),
		"Zstd":        zstdClauses(),
		"ActionCache": actionCacheClauses(),
		"FindMissing": findMissingClauses(),
		"Context":     contextClauses(),
		"Concurrent":  concurrentClauses(),
		"Remover":     removerClauses(),
	}
	for group, clauses := range groups {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for _, c := range clauses {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.test(t, newStore(t))
				})
			}
		})
	}
}
