package reapi_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/larder-build/larder/server/reapi"
)

// TestLittleMemory serves many large requests at once with room for one: they
// take turns, and all succeed.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	h := start(t, reapi.Options{MaxInflightBytes: 200 << 10})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			data := random(uint64(i), 1<<20)
			d := sha256Of(data)
			if _, err := h.write(chunked(writeName(d), data, 300<<10)...); err != nil {
				t.Error(err)
			}
			h.wantRead(t, fmt.Sprintf("blob %d", i), d, data)
			h.roundTrip(t, [][]byte{random(uint64(100+i), 400<<10), text(uint64(i), 1000)})
		})
	}
	wg.Wait()
	if n := h.metric("larder_reapi_memory_refusals_total"); n != 0 {
		t.Errorf("%v refusals", n)
	}
}
