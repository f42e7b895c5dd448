package proptest

import (
	"errors"
	"slices"

	"pgregory.net/rapid"

	"github.com/machreg/machreg/registry"
)

// transaction is one that is open, and what the model knows of it.
type transaction struct {
	Tx
	handle *handle
	base   state
	at     int // the version it began on
	read   map[string]bool
	all    bool
	wrote  map[string]*registry.Machine // nil: removed
}

const maxTransactions = 3

func (w *world) cmdBegin(t *rapid.T) {
	if len(w.transactions) == maxTransactions {
		t.Skip("enough of them are open")
	}
	w.transactions = append(w.transactions, w.begin(t, w.pick(t)))
}

// begin pairs a transaction with the snapshot it is on. A handle that refreshes
// by itself may do so between the two, so it is tried until they agree.
func (w *world) begin(t *rapid.T, h *handle) *transaction {
	const tries = 1000
	for range tries {
		view := h.Subject.(Versioned).Snapshot()
		tx := h.Subject.(Transactional).Begin()
		if tx.Revision() < view.Revision() {
			t.Fatalf("%v: a transaction began on revision %d after a snapshot of %d", h, tx.Revision(), view.Revision())
		}
		if tx.Revision() == view.Revision() {
			base := viewState(t, view)
			w.sees(t, h, "Snapshot", base)
			return &transaction{tx, h, base, h.low, make(map[string]bool), false, make(map[string]*registry.Machine)}
		}
	}
	t.Fatalf("%v: none of %d transactions began on the revision that the handle shows", h, tries)
	return nil
}

// get is what the transaction must read.
func (tx *transaction) get(name string) (registry.Machine, bool) {
	if m, wrote := tx.wrote[name]; wrote {
		if m == nil {
			return registry.Machine{}, false
		}
		return *m, true
	}
	m, there := tx.base[name]
	return m, there
}

func (w *world) cmdTxStep(t *rapid.T) {
	if len(w.transactions) == 0 {
		t.Skip("no transaction is open")
	}
	w.step(t, w.transactions[rapid.IntRange(0, len(w.transactions)-1).Draw(t, "transaction")])
}

// step lets a transaction do one thing.
func (w *world) step(t *rapid.T, tx *transaction) {
	switch rapid.SampledFrom([]string{"get", "get", "put", "put", "remove", "range"}).Draw(t, "step") {
	case "get":
		name := nameGen.Draw(t, "name")
		m, err := tx.Get(name)
		if _, wrote := tx.wrote[name]; !wrote {
			tx.read[name] = true
		}
		if want, there := tx.get(name); m != want || classOf(err) != foundOr(there) {
			t.Fatalf("transaction: Get(%q) = %+v, %v, want %+v", name, m, err, want)
		}
	case "put":
		m := machineGen.Draw(t, "machine")
		if err := tx.Put(m); err != nil {
			t.Fatalf("transaction: Put(%+v): %v", m, err)
		}
		tx.wrote[m.Name] = &m
	case "remove":
		name := nameGen.Draw(t, "name")
		err := tx.Remove(name)
		if name == registry.LocalName {
			if classOf(err) != builtin {
				t.Fatalf("transaction: Remove(%q): %v, want %s", name, err, builtin)
			}
			return
		}
		if w.everBad && classOf(err) == ok {
			// It may be one that readers do not see, which can be removed.
			if _, there := tx.get(name); !there {
				tx.read[name], tx.wrote[name] = true, nil
				return
			}
		}
		_, there := tx.get(name)
		if _, wrote := tx.wrote[name]; !wrote {
			tx.read[name] = true
		}
		if classOf(err) != foundOr(there) {
			t.Fatalf("transaction: Remove(%q): %v, want %s", name, err, orOK(foundOr(there)))
		}
		if there {
			tx.wrote[name] = nil
		}
	case "range":
		got := make(state)
		for name, m := range tx.All() {
			got[name] = m
		}
		tx.all = true
		if d := diff(got, tx.state()); d != "" {
			t.Fatalf("transaction: All: %s", d)
		}
	}
}

func foundOr(there bool) class {
	if there {
		return ok
	}
	return notFound
}

// state is what the transaction would leave.
func (tx *transaction) state() state {
	s := make(state)
	for name, m := range tx.base {
		s[name] = m
	}
	for name, m := range tx.wrote {
		if m == nil {
			delete(s, name)
		} else {
			s[name] = *m
		}
	}
	return s
}

// verdict is whether the transaction has to be a conflict: if what it read is
// not what there is. If it is again what it was, a handle that has not seen the
// change in between cannot know of it, and need not.
func (w *world) verdict(tx *transaction) class {
	unchanged := func(s state) bool {
		for name := range tx.read {
			a, there := tx.base[name]
			b, still := s[name]
			if there != still || a != b {
				return false
			}
		}
		return !tx.all || diff(s, tx.base) == ""
	}
	if !unchanged(w.current()) {
		return conflict
	}
	if w.foreign >= tx.at || w.everBad { // a commit may have spelled it anew since
		return undecided
	}
	for _, s := range w.versions[tx.at:] {
		if !unchanged(s) {
			return undecided
		}
	}
	return ok
}

// apply is the transaction's effect on the file.
func (tx *transaction) apply(c content) (class, change) {
	most := same
	for name, m := range tx.wrote {
		one := same
		if m == nil {
			one = c.remove(name)
		} else {
			one = c.put(*m)
		}
		most = max(most, one)
	}
	return ok, most
}

func (w *world) cmdCommit(t *rapid.T) {
	if len(w.transactions) == 0 {
		t.Skip("no transaction is open")
	}
	i := rapid.IntRange(0, len(w.transactions)-1).Draw(t, "transaction")
	tx := w.transactions[i]
	w.transactions = slices.Delete(w.transactions, i, i+1)
	w.finish(t, tx)
}

// cmdOvertaken is a short transaction with a write by somebody else between
// what it read and its commit, which drawing one command after another would
// make too seldom.
func (w *world) cmdOvertaken(t *rapid.T) {
	tx := w.begin(t, w.pick(t))
	for range rapid.IntRange(1, 2).Draw(t, "steps") {
		w.step(t, tx)
	}
	if rapid.Bool().Draw(t, "remove") {
		w.cmdRemove(t)
	} else {
		w.cmdAdd(t)
	}
	m := machineGen.Draw(t, "machine")
	if err := tx.Put(m); err != nil {
		t.Fatalf("transaction: Put(%+v): %v", m, err)
	}
	tx.wrote[m.Name] = &m
	w.finish(t, tx)
}

func (w *world) finish(t *rapid.T, tx *transaction) {
	verdict := w.verdict(tx)
	w.conditional(t, tx.handle, "commit", func(content) class { return verdict }, tx.apply, tx.Commit)
}

var errAbandoned = errors.New("the function gave up")

// cmdUpdate runs a whole transaction through Update, which takes care of
// conflicts itself.
func (w *world) cmdUpdate(t *rapid.T) {
	h := w.pick(t)
	from, to := nameGen.Draw(t, "from"), machineGen.Draw(t, "to")
	var reply error
	if rapid.IntRange(0, 4).Draw(t, "give up") == 0 {
		reply = errAbandoned
	}
	var read registry.Machine
	perform := func() (registry.Revision, error) {
		return h.Subject.(Transactional).Update(func(tx Tx) error {
			read, _ = tx.Get(from)
			to.KeyPath = read.TownPath
			if err := tx.Put(to); err != nil {
				return err
			}
			return reply
		})
	}
	if reply != nil {
		before, _ := stampOfFile(w.path)
		if _, err := perform(); err != errAbandoned && !h.refuses(err) {
			t.Fatalf("%v: update: %v, want the function's own error", h, err)
		}
		if after, _ := stampOfFile(w.path); w.file != "" && replaced(before, after) {
			t.Fatalf("%v: update was given up, but the file was written", h)
		}
		return
	}
	w.write(t, h, "update", func(c content) (class, change) {
		if want := w.current()[from]; read != want {
			t.Fatalf("%v: update read %+v and was committed, but there was %+v", h, read, want)
		}
		return ok, c.put(to)
	}, perform)
}
