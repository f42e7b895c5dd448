//go:build lmdb && cgo

package peer

/*
#cgo LDFLAGS: -llmdb
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <lmdb.h>

// One call from Go a transaction: each crossing costs as much as a lookup.

static int bench_open(const char *path, size_t size, MDB_env **env, MDB_dbi *dbi) {
	MDB_txn *txn;
	int rc = mdb_env_create(env);
	if (rc) return rc;
	if ((rc = mdb_env_set_mapsize(*env, size))) return rc;
	if ((rc = mdb_env_set_maxreaders(*env, 1024))) return rc;
	if ((rc = mdb_env_open(*env, path, MDB_NOTLS, 0644))) return rc;
	if ((rc = mdb_txn_begin(*env, NULL, 0, &txn))) return rc;
	if ((rc = mdb_dbi_open(txn, NULL, 0, dbi))) { mdb_txn_abort(txn); return rc; }
	return mdb_txn_commit(txn);
}

static int bench_get(MDB_env *env, MDB_dbi dbi, void *key, size_t keylen, void *out, size_t *outlen) {
	MDB_txn *txn;
	MDB_val k = {keylen, key}, v;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
	if (rc) return rc;
	if (!(rc = mdb_get(txn, dbi, &k, &v))) {
		if (v.mv_size > *outlen) rc = ENOSPC;
		else { memcpy(out, v.mv_data, v.mv_size); *outlen = v.mv_size; }
	}
	mdb_txn_abort(txn);
	return rc;
}

static int bench_put(MDB_txn *txn, MDB_dbi dbi, void *key, size_t keylen, void *val, size_t vallen) {
	MDB_val k = {keylen, key}, v = {vallen, val};
	return mdb_put(txn, dbi, &k, &v, 0);
}

static int bench_add(MDB_env *env, MDB_dbi dbi, void *key, size_t keylen, void *val, size_t vallen) {
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc) return rc;
	if ((rc = bench_put(txn, dbi, key, keylen, val, vallen))) { mdb_txn_abort(txn); return rc; }
	return mdb_txn_commit(txn);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"unsafe"

	"github.com/machreg/machreg/cmd/bench/internal/fleet"
)

var lmdbKinds = []Kind{
	{
		Name:      "lmdb",
		Processes: true,
		Note:      "the system's liblmdb through cgo, synced; machines as JSON",
		Open:      func(dir string, _ Options) (Store, error) { return openLMDB(dir, false) },
		Fill:      fillLMDB,
	},
	{
		Name:      "lmdb-raw",
		Processes: true,
		Note:      "LMDB without decoding what it finds",
		Open:      func(dir string, _ Options) (Store, error) { return openLMDB(dir, true) },
		Fill:      fillLMDB,
	},
}

type lmdbStore struct {
	env *C.MDB_env
	dbi C.MDB_dbi
	raw bool
}

func lmdbError(op string, rc C.int) error {
	if rc == 0 {
		return nil
	}
	return fmt.Errorf("lmdb %s: %s", op, C.GoString(C.mdb_strerror(rc)))
}

func openLMDB(dir string, raw bool) (*lmdbStore, error) {
	path := C.CString(dir)
	defer C.free(unsafe.Pointer(path))
	s := &lmdbStore{raw: raw}
	if err := lmdbError("open", C.bench_open(path, 4<<30, &s.env, &s.dbi)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func fillLMDB(dir string, machines iter.Seq[fleet.Machine]) error {
	s, err := openLMDB(dir, false)
	if err != nil {
		return err
	}
	// A write transaction belongs to the thread that began it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var txn *C.MDB_txn
	if err := lmdbError("begin", C.mdb_txn_begin(s.env, nil, 0, &txn)); err != nil {
		return errors.Join(err, s.Close())
	}
	for m := range machines {
		key, value := []byte(m.Name), fleet.Encode(m)
		rc := C.bench_put(txn, s.dbi, unsafe.Pointer(&key[0]), C.size_t(len(key)), unsafe.Pointer(&value[0]), C.size_t(len(value)))
		if err := lmdbError("put", rc); err != nil {
			C.mdb_txn_abort(txn)
			return errors.Join(err, s.Close())
		}
	}
	return errors.Join(lmdbError("commit", C.mdb_txn_commit(txn)), s.Close())
}

func (s *lmdbStore) Get(name string) (fleet.Machine, error) {
	var buf [1024]byte
	key, size := []byte(name), C.size_t(len(buf))
	rc := C.bench_get(s.env, s.dbi, unsafe.Pointer(&key[0]), C.size_t(len(key)), unsafe.Pointer(&buf[0]), &size)
	switch {
	case rc == C.MDB_NOTFOUND:
		return fleet.Machine{}, ErrNotFound
	case rc != 0:
		return fleet.Machine{}, lmdbError("get", rc)
	case s.raw:
		return fleet.Machine{Type: "ssh"}, nil // what a caller who does not decode cannot know
	}
	return fleet.Decode(buf[:size])
}

func (s *lmdbStore) Add(m fleet.Machine) error {
	key, value := []byte(m.Name), fleet.Encode(m)
	rc := C.bench_add(s.env, s.dbi, unsafe.Pointer(&key[0]), C.size_t(len(key)), unsafe.Pointer(&value[0]), C.size_t(len(value)))
	return lmdbError("add", rc)
}

func (s *lmdbStore) Close() error {
	if s.env != nil {
		C.mdb_env_close(s.env)
		s.env = nil
	}
	return nil
}
