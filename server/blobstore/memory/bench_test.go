package memory_test

import (
	"testing"

	"github.com/larder-build/larder/server/blobstore"
	"github.com/larder-build/larder/server/blobstore/memory"
	"github.com/larder-build/larder/server/blobstore/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(*testing.B) blobstore.Store { return memory.New(memory.Options{}) })
}
