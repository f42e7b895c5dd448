package peer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
)

var sqliteKind = Kind{
	Name:      SQLite,
	Processes: true,
	Note:      "WAL, synchronous=FULL, modernc.org/sqlite without cgo; one writing connection a process, prepared statements, machines as JSON",
	Open:      func(dir string, _ Options) (Store, error) { return openSQLite(dir) },
	Fill:      fillSQLite,
}

// sqliteStore writes through a connection of its own: the goroutines of a
// process then wait for each other in Go, and only processes for each other in
// SQLite, which polls.
type sqliteStore struct {
	read, write         *sql.DB
	get, all, set, peek *sql.Stmt // peek is get on the writing connection
}

func openSQLite(dir string) (_ *sqliteStore, err error) {
	pragmas := url.Values{"_pragma": {"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)"}, "_txlock": {"immediate"}}
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(filepath.Join(dir, "machines.sqlite")), RawQuery: pragmas.Encode()}).String()
	s := &sqliteStore{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.write, err = sql.Open("sqlite", dsn); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn); err != nil {
		return nil, err
	}
	conns := 2 * runtime.GOMAXPROCS(0)
	s.read.SetMaxOpenConns(conns)
	s.read.SetMaxIdleConns(conns)
	var mode string
	var sync int
	if err := s.write.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if err := s.write.QueryRow("PRAGMA synchronous").Scan(&sync); err != nil {
		return nil, err
	}
	if mode != "wal" || sync != 2 {
		return nil, fmt.Errorf("sqlite: journal mode %s, synchronous %d; want wal and 2 (FULL)", mode, sync)
	}
	if _, err = s.write.Exec("CREATE TABLE IF NOT EXISTS machines (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		stmt *(*sql.Stmt)
		db   *sql.DB
		text string
	}{
		{&s.get, s.read, "SELECT value FROM machines WHERE name = ?"},
		{&s.all, s.read, "SELECT value FROM machines ORDER BY name"},
		{&s.set, s.write, "INSERT INTO machines (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"},
		{&s.peek, s.write, "SELECT value FROM machines WHERE name = ?"},
	} {
		if *p.stmt, err = p.db.Prepare(p.text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func fillSQLite(dir string, machines iter.Seq[fleet.Machine]) error {
	s, err := openSQLite(dir)
	if err != nil {
		return err
	}
	tx, err := s.write.Begin()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	set := tx.Stmt(s.set)
	for m := range machines {
		if _, err := set.Exec(m.Name, fleet.Encode(m)); err != nil {
			return errors.Join(err, tx.Rollback(), s.Close())
		}
	}
	err = tx.Commit()
	if err == nil {
		_, err = s.write.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return errors.Join(err, s.Close())
}

func (s *sqliteStore) Get(name string) (fleet.Machine, error) {
	return scanMachine(s.get.QueryRow(name))
}

func scanMachine(row *sql.Row) (fleet.Machine, error) {
	var data []byte
	if err := row.Scan(&data); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = ErrNotFound
		}
		return fleet.Machine{}, err
	}
	return fleet.Decode(data)
}

func (s *sqliteStore) Add(m fleet.Machine) error {
	_, err := s.set.Exec(m.Name, fleet.Encode(m))
	return err
}

func (s *sqliteStore) List() (int, error) {
	var list []fleet.Machine
	err := s.Range(func(m *fleet.Machine) bool {
		list = append(list, *m)
		return true
	})
	return len(list), err
}

func (s *sqliteStore) Range(yield func(m *fleet.Machine) bool) error {
	rows, err := s.all.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	var data sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&data); err != nil {
			return err
		}
		m, err := fleet.Decode(data)
		if err != nil {
			return err
		}
		if !yield(&m) {
			break
		}
	}
	return rows.Err()
}

func (s *sqliteStore) Transact(first, second string, next func(fleet.Machine) fleet.Machine) error {
	tx, err := s.write.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	get := tx.Stmt(s.peek)
	if _, err := scanMachine(get.QueryRow(first)); err != nil {
		return err
	}
	m, err := scanMachine(get.QueryRow(second))
	if err != nil {
		return err
	}
	if _, err := tx.Stmt(s.set).Exec(second, fleet.Encode(next(m))); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *sqliteStore) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
