package peer

import (
	"os"

	"github.com/hashicorp/go-memdb"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
	"github.com/machreg/machreg/registry"
)

var memdbKind = Kind{
	Name: "memdb",
	Note: "hashicorp/go-memdb: in memory only, nothing is stored; reads",
	Open: func(dir string, _ Options) (Store, error) { return openMemDB(dir) },
	Fill: fillMachreg,
}

type memStore struct{ db *memdb.MemDB }

const memTable = "machines"

func openMemDB(dir string) (*memStore, error) {
	db, err := memdb.NewMemDB(&memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		memTable: {Name: memTable, Indexes: map[string]*memdb.IndexSchema{
			"id": {Name: "id", Unique: true, Indexer: &memdb.StringFieldIndex{Field: "Name"}},
		}},
	}})
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(MachregPath(dir)); err != nil {
		return nil, err
	}
	r, err := OpenMachreg(dir, &registry.Options{MaxSize: MaxFile, Refresh: registry.RefreshNever})
	if err != nil {
		return nil, err
	}
	tx := db.Txn(true)
	for _, m := range r.All() {
		if err := tx.Insert(memTable, &m); err != nil {
			return nil, err
		}
	}
	tx.Commit()
	return &memStore{db}, r.Close()
}

func (s *memStore) Get(name string) (fleet.Machine, error) {
	found, err := s.db.Txn(false).First(memTable, "id", name)
	if err != nil {
		return fleet.Machine{}, err
	}
	m, ok := found.(*fleet.Machine)
	if !ok {
		return fleet.Machine{}, ErrNotFound
	}
	return *m, nil
}

func (s *memStore) List() (int, error) {
	var list []fleet.Machine
	err := s.Range(func(m *fleet.Machine) bool {
		list = append(list, *m)
		return true
	})
	return len(list), err
}

func (s *memStore) Range(yield func(m *fleet.Machine) bool) error {
	it, err := s.db.Txn(false).Get(memTable, "id")
	if err != nil {
		return err
	}
	for found := it.Next(); found != nil; found = it.Next() {
		m := *found.(*fleet.Machine)
		if !yield(&m) {
			break
		}
	}
	return nil
}

func (s *memStore) Close() error { return nil }
