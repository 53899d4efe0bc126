package main

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

func TestBuildIsDeterministic(t *testing.T) {
	t.Parallel()
	contents := smallContents(1)
	first := build{contents, 1 << 40, []int{100, 200, 300, 400}}
	second := build{contents, 1 << 40, []int{100, 200, 300, 400}}
	hashes := make(map[string]int)
	for i := range 12 {
		a, b := first.at(i), second.at(i)
		if !proto.Equal(a.result, b.result) || !proto.Equal(a.action, b.action) {
			t.Errorf("action %d differs between two of one build", i)
		}
		if n := outputCounts[i%len(outputCounts)]; len(a.outputs) != n || len(a.result.OutputFiles) != n || len(a.uploads) != n+2 {
			t.Errorf("action %d has %d outputs and %d uploads, want %d and 2 more", i, len(a.outputs), len(a.uploads), n)
		}
		for _, s := range a.uploads {
			if was, ok := hashes[s.digest.Hash]; ok {
				t.Errorf("actions %d and %d share a blob", was, i)
			}
			hashes[s.digest.Hash] = i
		}
	}
}

// TestBuildDealsTheWholeDeck checks that each size of the deck is the size of
// one output, before any comes again.
func TestBuildDealsTheWholeDeck(t *testing.T) {
	t.Parallel()
	deck := make([]int, deckSize)
	for i := range deck {
		deck[i] = tailBytes + i
	}
	b := build{smallContents(1), 1 << 40, deck}
	next := 0
	for i := range 3 * len(outputCounts) {
		for _, s := range b.at(i).outputs {
			if s.id.size != deck[next] {
				t.Fatalf("action %d has an output of %d bytes, want %d", i, s.id.size, deck[next])
			}
			next++
		}
	}
	if next != 3*outputsPerTurn {
		t.Errorf("three turns dealt %d sizes, want %d", next, 3*outputsPerTurn)
	}
}
