package registry

import (
	"context"

	"github.com/fsnotify/fsnotify"

	"github.com/machreg/machreg/snapshot"
)

// What the tests of freshness reach inside for.

func (r *Registry[V]) files() *fileStore[V] { return r.store.(*fileStore[V]) }

// OnRenamed has fn called in every commit of this handle, between the rename
// and the page's second bump.
func (r *Registry[V]) OnRenamed(fn func()) { r.files().hooks.renamed = fn }

// WeakenPage makes the pages of registries opened from now on skip their odd
// phase.
func WeakenPage() { weakPage = true }

// PagePath is where the registry's page is.
func (r *Registry[V]) PagePath() string { return r.files().site.Load().page.Path() }

// Maintain does what the registry does every PollInterval.
func (r *Registry[V]) Maintain() { r.files().maintain() }

// StoreRefresh refreshes past the registry's own check for Close.
func (r *Registry[V]) StoreRefresh(ctx context.Context) (*snapshot.Snapshot[V], error) {
	return r.store.Refresh(ctx)
}

// ReplaceEvents has watches made by fn; restore ends that.
func ReplaceEvents(fn func() (*fsnotify.Watcher, error)) (restore func()) {
	old := newEvents
	newEvents = fn
	return func() { newEvents = old }
}
