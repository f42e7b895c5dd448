package snapshot

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// table is the hash index of a snapshot: names to entries. It is immutable
// once its snapshot is published, and cheap to change a little: with copies the
// directory and the buckets it touches, and shares the rest.
//
// Linear probing stays inside one bucket. A bucket that fills up makes the
// whole table be laid out again with twice as many buckets; at half load on
// average that takes growth, or an outlier of four standard deviations.
//
// A Go map was the alternative. It is as fast to read, but a commit or a
// refresh would have to copy it whole, which at 100,000 entries costs as much
// as a quarter of writing the file.
type table[V any] struct {
	buckets []*bucket[V] // a power of two of them
	shift   uint8        // 64 - log2(len(buckets)): the top bits of a hash choose the bucket
}

const (
	bucketSlots = 128
	// bucketFull keeps probe sequences short, and leaves the empty slots
	// without which they would not end.
	bucketFull = 96
	// bucketLoad is the most that a new table holds on average.
	bucketLoad = 64
	// bucketIdle is the average below which a table is laid out smaller.
	bucketIdle = 4
)

// slot repeats the entry's hash, so that a look-up touches no entry but the one
// it is for: at 100,000 entries each touch is a miss of the processor's caches.
type slot[V any] struct {
	hash  uint64
	entry *entry[V]
}

type bucket[V any] [bucketSlots]slot[V]

// seed is one per process, so that an entry's hash serves every snapshot it is
// in; it is random, so that a file cannot be made to collide.
var seed = maphash.MakeSeed()

func hashName(name string) uint64 { return maphash.String(seed, name) }

// get returns the entry of that name, or nil.
func (t *table[V]) get(name string) *entry[V] {
	if len(t.buckets) == 0 {
		return nil
	}
	return t.find(hashName(name), name)
}

func (t *table[V]) find(h uint64, name string) *entry[V] {
	b := t.buckets[h>>t.shift]
	for i := h; ; i++ {
		s := &b[i%bucketSlots]
		if s.entry == nil || s.hash == h && s.entry.name == name {
			return s.entry
		}
	}
}

// newTable indexes entries, whose names are distinct.
func newTable[V any](entries []*entry[V]) table[V] {
	log := bits.Len(uint(max(len(entries)-1, 0) / bucketLoad))
	for ; ; log++ {
		t := table[V]{buckets: make([]*bucket[V], 1<<log), shift: uint8(64 - log)}
		if t.fill(entries) {
			return t
		}
	}
}

// fill reports whether every entry found room.
func (t *table[V]) fill(entries []*entry[V]) bool {
	slab := make([]bucket[V], len(t.buckets))
	used := make([]uint8, len(t.buckets))
	for i := range t.buckets {
		t.buckets[i] = &slab[i]
	}
	for _, e := range entries {
		i := e.hash >> t.shift
		if used[i]++; used[i] > bucketFull {
			return false
		}
		t.buckets[i].put(e)
	}
	return true
}

// put adds e, or replaces the entry of its name, and reports whether it added.
// The bucket must have an empty slot.
func (b *bucket[V]) put(e *entry[V]) bool {
	for i := e.hash; ; i++ {
		s := &b[i%bucketSlots]
		if added := s.entry == nil; added || s.hash == e.hash && s.entry.name == e.name {
			*s = slot[V]{e.hash, e}
			return added
		}
	}
}

// remove takes e out and closes the gap, so that every other entry is still
// reached from its own slot without crossing an empty one.
func (b *bucket[V]) remove(e *entry[V]) {
	i := e.hash % bucketSlots
	for b[i].entry != e {
		i = (i + 1) % bucketSlots
	}
	for j := (i + 1) % bucketSlots; b[j].entry != nil; j = (j + 1) % bucketSlots {
		home := b[j].hash % bucketSlots
		// b[j] may move to the gap at i unless its home lies between them.
		if (j-home)%bucketSlots >= (j-i)%bucketSlots {
			b[i], i = b[j], j
		}
	}
	b[i] = slot[V]{}
}

func (b *bucket[V]) len() int {
	n := 0
	for i := range b {
		if b[i].entry != nil {
			n++
		}
	}
	return n
}

// with returns t changed: replaced holds pairs of the entry that leaves (or
// nil) and the entry of the same name that takes its place (or nil). all is
// every entry of the result, for when the table has to be laid out anew.
func (t *table[V]) with(replaced []replacement[V], all []*entry[V]) table[V] {
	if len(replaced) == 0 {
		return *t
	}
	n := len(t.buckets)
	if n == 0 || len(all) > n*bucketFull || n > 1 && len(all) < n*bucketIdle || len(replaced) > len(all)/2 {
		return newTable(all)
	}
	next := table[V]{buckets: slices.Clone(t.buckets), shift: t.shift}
	for _, r := range replaced {
		e := r.new
		if e == nil {
			e = r.old
		}
		i := e.hash >> t.shift
		b := next.buckets[i]
		if b == t.buckets[i] { // still shared: copy before the first change
			b = new(bucket[V])
			*b = *t.buckets[i]
			next.buckets[i] = b
		}
		if r.new == nil {
			b.remove(r.old)
		} else if b.put(r.new) && b.len() > bucketFull {
			return newTable(all)
		}
	}
	return next
}

type replacement[V any] struct{ old, new *entry[V] }
