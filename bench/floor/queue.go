package main

// queued is one thing the store can forget.
type queued struct {
	key    actionKey // of a blob: the hash alone
	action bool
	size   int64
}

// queue is first in, first out.
type queue struct {
	items []queued
	head  int
}

func (q *queue) push(x queued) {
	if q.head > len(q.items)/2 {
		q.items = append(q.items[:0], q.items[q.head:]...)
		q.head = 0
	}
	q.items = append(q.items, x)
}

func (q *queue) pop() (queued, bool) {
	if q.head == len(q.items) {
		return queued{}, false
	}
	x := q.items[q.head]
	q.items[q.head] = queued{}
	q.head++
	return x, true
}
