package main

// queued is one thing the store can forget.
type queued struct {
	key    actionKey // of a blob: the hash alone
	action bool
	size   int64
}

// queueBlock is how many things a block of a queue holds.
const queueBlock = 1024

// queue is first in, first out. It grows by blocks, so that nothing is copied.
type queue struct {
	blocks [][]queued
	head   int // in the first block
}

func (q *queue) push(x queued) {
	last := len(q.blocks) - 1
	if last < 0 || len(q.blocks[last]) == queueBlock {
		q.blocks = append(q.blocks, make([]queued, 0, queueBlock))
		last++
	}
	q.blocks[last] = append(q.blocks[last], x)
}

func (q *queue) pop() (queued, bool) {
	if len(q.blocks) == 0 || q.head == len(q.blocks[0]) {
		return queued{}, false
	}
	x := q.blocks[0][q.head]
	if q.head++; q.head == queueBlock {
		q.blocks, q.head = q.blocks[1:], 0
	}
	return x, true
}
