package snapshot

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// The table is tested with hashes of its own making: all in one bucket, all in
// one slot, all at the end of a bucket, or spread.
func TestTable(t *testing.T) {
	hashes := map[string]func(r *rand.Rand) uint64{
		"spread":           func(r *rand.Rand) uint64 { return r.Uint64() },
		"few slots":        func(r *rand.Rand) uint64 { return r.Uint64()&^(bucketSlots-1) | r.Uint64N(4) },
		"end of bucket":    func(r *rand.Rand) uint64 { return r.Uint64() | (bucketSlots - 3) },
		"few buckets":      func(r *rand.Rand) uint64 { return r.Uint64() >> 3 },
		"few whole hashes": func(r *rand.Rand) uint64 { return r.Uint64N(40) * 0x0123456789abcdef },
	}
	for kind, hash := range hashes {
		t.Run(kind, func(t *testing.T) {
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 0))
			limit := 400
			if kind == "few whole hashes" {
				limit = bucketFull // more with one hash cannot be told apart by it
			}
			names, hashes := make([]string, 2*limit), make([]uint64, 2*limit)
			for i := range names {
				names[i], hashes[i] = fmt.Sprint(i), hash(r)
			}
			model := make(map[string]*entry[int])
			index := newTable[int](nil)
			for round := range 300 {
				old, before := index, maps.Clone(model)
				var replaced []replacement[int]
				touched := make(map[string]bool)
				grow := round%100 < 50
				for range 1 + r.IntN(1+limit/20) {
					n := r.IntN(len(names))
					name := names[n]
					if touched[name] {
						continue
					}
					touched[name] = true
					was := model[name]
					switch {
					case was != nil && (!grow || r.IntN(4) == 0):
						delete(model, name)
						replaced = append(replaced, replacement[int]{was, nil})
					case was != nil:
						e := &entry[int]{name: name, hash: was.hash, value: round}
						model[name] = e
						replaced = append(replaced, replacement[int]{was, e})
					case grow && len(model) < limit:
						e := &entry[int]{name: name, hash: hashes[n], value: round}
						model[name] = e
						replaced = append(replaced, replacement[int]{nil, e})
					}
				}
				index = old.with(replaced, slices.Collect(maps.Values(model)))
				checkTable(t, &index, model, names, hashes)
				checkTable(t, &old, before, names, hashes)
				if t.Failed() {
					t.Fatalf("seed %d, round %d", seed, round)
				}
			}
		})
	}
}

func checkTable(t *testing.T, index *table[int], model map[string]*entry[int], names []string, hashes []uint64) {
	t.Helper()
	held := 0
	for _, b := range index.buckets {
		n := b.len()
		if n > bucketFull {
			t.Errorf("a bucket holds %d", n)
		}
		held += n
	}
	if held != len(model) {
		t.Errorf("the table holds %d, want %d", held, len(model))
	}
	for i, name := range names {
		if len(index.buckets) == 0 {
			break
		}
		if got := index.find(hashes[i], name); got != model[name] {
			t.Errorf("%q is %v, want %v", name, got, model[name])
		}
	}
}

// A table that has lost nearly all its entries is laid out anew.
func TestTableShrinks(t *testing.T) {
	var all []*entry[int]
	for i := range 10_000 {
		name := fmt.Sprint(i)
		all = append(all, &entry[int]{name: name, hash: hashName(name)})
	}
	index := newTable(all)
	for len(all) > 10 {
		last := all[len(all)-1]
		all = all[:len(all)-1]
		index = index.with([]replacement[int]{{last, nil}}, all)
	}
	if len(index.buckets) > 1 {
		t.Errorf("%d buckets for %d entries", len(index.buckets), len(all))
	}
	for _, e := range all {
		if index.get(e.name) != e {
			t.Errorf("%q is lost", e.name)
		}
	}
}
