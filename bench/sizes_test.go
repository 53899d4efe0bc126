package main

import (
	"slices"
	"testing"
)

func TestDeck(t *testing.T) {
	t.Parallel()
	deck := newDeck(1)
	if !slices.Equal(deck, newDeck(1)) {
		t.Error("two decks of one seed differ")
	}
	if slices.Equal(deck, newDeck(2)) {
		t.Error("decks of two seeds are the same")
	}
	sorted := slices.Sorted(slices.Values(deck))
	if !slices.Equal(sorted, slices.Sorted(slices.Values(newDeck(2)))) {
		t.Error("decks of two seeds hold other sizes")
	}
	if got := quantile(sorted, 0.5); got < 4000 || got > 4200 {
		t.Errorf("median is %d, want about 4 KiB", got)
	}
	if sorted[0] < tailBytes || sorted[deckSize-1] != maxBlobBytes {
		t.Errorf("sizes go from %d to %d", sorted[0], sorted[deckSize-1])
	}
	var total int
	for _, n := range sorted {
		total += n
	}
	var large int
	for _, n := range sorted[deckSize*9/10:] {
		large += n
	}
	if mean := total / deckSize; mean < 25*kib || mean > 45*kib {
		t.Errorf("mean is %d", mean)
	}
	if part := float64(large) / float64(total); part < 0.7 {
		t.Errorf("the largest tenth holds %.2f of the bytes: no heavy tail", part)
	}
}
