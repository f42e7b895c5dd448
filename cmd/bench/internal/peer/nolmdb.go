//go:build !lmdb || !cgo

package peer

// lmdbKinds is empty: this program was built without the tag lmdb, which needs
// a C compiler and LMDB's header and library (Debian: liblmdb-dev).
var lmdbKinds []Kind
