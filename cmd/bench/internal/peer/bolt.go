package peer

import (
	"encoding/json"
	"errors"
	"iter"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
)

var (
	boltKind = Kind{
		Name: "bbolt",
		Note: "one process at a time; several writers share commits through Batch",
		Open: openBolt(false),
		Fill: fillBolt,
	}
	boltRawKind = Kind{
		Name: "bbolt-raw",
		Note: "bbolt without decoding what it finds",
		Open: openBolt(true),
		Fill: fillBolt,
	}
)

var boltBucket = []byte("machines")

type boltStore struct {
	db  *bolt.DB
	add func(func(*bolt.Tx) error) error
	raw bool
}

func boltPath(dir string) string { return filepath.Join(dir, "machines.bolt") }

func openBolt(raw bool) func(string, Options) (Store, error) {
	return func(dir string, o Options) (Store, error) {
		db, err := bolt.Open(boltPath(dir), 0o644, &bolt.Options{Timeout: 10 * time.Second})
		if err != nil {
			return nil, err
		}
		s := &boltStore{db: db, add: db.Update, raw: raw}
		if o.Writers > 1 {
			// A batch begins when all writers are in it, or soon.
			db.MaxBatchSize, db.MaxBatchDelay = o.Writers, 2*time.Millisecond
			s.add = db.Batch
		}
		return s, nil
	}
}

func fillBolt(dir string, machines iter.Seq[fleet.Machine]) error {
	db, err := bolt.Open(boltPath(dir), 0o644, nil)
	if err != nil {
		return err
	}
	db.NoSync = true // until all is there
	next, stop := iter.Pull(machines)
	defer stop()
	for more := true; more && err == nil; {
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(boltBucket)
			// A leaf is not split before its transaction ends: one for all
			// would take a time that grows with the square of their number.
			for n := 0; n < boltFillBatch && err == nil; n++ {
				var m fleet.Machine
				if m, more = next(); !more {
					break
				}
				err = b.Put([]byte(m.Name), fleet.Encode(m))
			}
			return err
		})
	}
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, db.Close())
}

const boltFillBatch = 5000

func (s *boltStore) Get(name string) (m fleet.Machine, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		data := tx.Bucket(boltBucket).Get([]byte(name))
		switch {
		case data == nil:
			return ErrNotFound
		case s.raw:
			m.Type = "ssh" // what a caller who does not decode cannot know
			return nil
		}
		return json.Unmarshal(data, &m)
	})
	return m, err
}

func (s *boltStore) Add(m fleet.Machine) error {
	value := fleet.Encode(m)
	return s.add(func(tx *bolt.Tx) error { return tx.Bucket(boltBucket).Put([]byte(m.Name), value) })
}

func (s *boltStore) List() (int, error) {
	var list []fleet.Machine
	err := s.Range(func(m *fleet.Machine) bool {
		list = append(list, *m)
		return true
	})
	return len(list), err
}

var errStop = errors.New("stop")

func (s *boltStore) Range(yield func(m *fleet.Machine) bool) error {
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(boltBucket).ForEach(func(_, data []byte) error {
			var m fleet.Machine
			if !s.raw {
				if err := json.Unmarshal(data, &m); err != nil {
					return err
				}
			}
			if !yield(&m) {
				return errStop
			}
			return nil
		})
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func (s *boltStore) Transact(first, second string, next func(fleet.Machine) fleet.Machine) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(boltBucket)
		if _, err := fleet.Decode(b.Get([]byte(first))); err != nil {
			return err
		}
		m, err := fleet.Decode(b.Get([]byte(second)))
		if err != nil {
			return err
		}
		return b.Put([]byte(second), fleet.Encode(next(m)))
	})
}

func (s *boltStore) Close() error { return s.db.Close() }
