package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// deckSize is how many output sizes the build replay deals from.
	deckSize = 4096
	// medianOutput is their median in bytes, outputSigma the standard deviation
	// of their natural logarithm.
	medianOutput = 4 << 10
	outputSigma  = 1.8
)

// heavyTail are the sizes of the deck's largest outputs: the archives and
// binaries that are few and hold most of a build's bytes.
var heavyTail = [...]int{32 << 20, 16 << 20, 8 << 20, 4 << 20}

// newDeck returns the sizes of a build's outputs in random order: the evenly
// spaced quantiles of a lognormal distribution, so that every deck holds the
// same bytes, with heavyTail in the place of the largest.
func newDeck(seed uint64) []int {
	deck := make([]int, deckSize)
	for i := range deck {
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/deckSize-1)
		deck[i] = max(tailBytes, int(medianOutput*math.Exp(outputSigma*z)))
	}
	slices.Sort(deck)
	copy(deck[deckSize-len(heavyTail):], heavyTail[:])
	r := rand.New(rand.NewPCG(seed, 2))
	r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	return deck
}
