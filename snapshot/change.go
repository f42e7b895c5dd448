package snapshot

// Change is the difference between two snapshots of one registry. An entry
// that changed several times in between is listed once; one that came and went
// is not listed.
type Change[V any] struct {
	From, To Revision
	Added    []Item[V]   // by name
	Updated  []Update[V] // by name
	Removed  []Item[V]   // by name, with the value that went
}

// Item is one entry of a collection.
type Item[V any] struct {
	Name  string
	Value V
}

// Update is one entry whose value changed.
type Update[V any] struct {
	Name     string
	Old, New V
}

// Empty reports whether no entry differs; the revisions may.
func (c Change[V]) Empty() bool {
	return len(c.Added) == 0 && len(c.Updated) == 0 && len(c.Removed) == 0
}

// Diff compares two snapshots of one handle. Its cost is one pointer
// comparison for each unchanged entry.
func Diff[V any](old, new *Snapshot[V]) Change[V] {
	c := Change[V]{From: old.revision, To: new.revision}
	if old == new {
		return c
	}
	walk(old.sorted, new.sorted, func(a, b *entry[V]) { c.note(new.codec, a, b) })
	return c
}

// note records what a reader sees of one name's step from old to new.
func (c *Change[V]) note(codec *Codec[V], old, new *entry[V]) {
	was := old != nil && old.state&hidden == 0
	is := new != nil && new.state&hidden == 0
	switch {
	case was && is && old.line == new.line: // changed back
	case was && is:
		c.Updated = append(c.Updated, Update[V]{new.name, codec.out(old), codec.out(new)})
	case was:
		c.Removed = append(c.Removed, Item[V]{old.name, codec.out(old)})
	case is:
		c.Added = append(c.Added, Item[V]{new.name, codec.out(new)})
	}
}

// walk calls visit for every name whose entry in a is not the very same in b;
// nil stands for no entry. Both are sorted by name.
func walk[V any](a, b []*entry[V], visit func(old, new *entry[V])) {
	for len(a) > 0 && len(b) > 0 {
		switch old, new := a[0], b[0]; {
		case old == new:
			a, b = a[1:], b[1:]
		case old.name < new.name:
			visit(old, nil)
			a = a[1:]
		case old.name > new.name:
			visit(nil, new)
			b = b[1:]
		default:
			visit(old, new)
			a, b = a[1:], b[1:]
		}
	}
	for _, old := range a {
		visit(old, nil)
	}
	for _, new := range b {
		visit(nil, new)
	}
}
