//go:build race

package page

import "sync/atomic"

// Under the race detector an atomic access is made by a C function, where a
// fault ends the process and not only the access. It has nothing to say about
// memory that is shared with other processes, so here the words are accessed
// behind its back: an aligned word is loaded and stored in one piece, and an
// atomic access of something else keeps that in order with what is around it.

var order atomic.Uint64

//go:norace
func loadWord(p *uint64) uint64 {
	v := *p
	order.Add(1)
	return v
}

//go:norace
func storeWord(p *uint64, v uint64) {
	order.Add(1)
	*p = v
	order.Add(1)
}
