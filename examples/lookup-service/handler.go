package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/machreg/machreg/registry"
	"github.com/machreg/machreg/snapshot"
)

// handler answers every request from one snapshot, so that what it says and
// the revision that it says it of belong together.
type handler struct {
	reg  *registry.MachineRegistry
	wait time.Duration
}

func newHandler(reg *registry.MachineRegistry, wait time.Duration) http.Handler {
	h := &handler{reg, wait}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /machines", h.machines)
	mux.HandleFunc("GET /machines/{name}", h.machine)
	mux.HandleFunc("GET /revision", h.revision)
	mux.HandleFunc("GET /healthz", h.health)
	return mux
}

type machinesSnapshot = snapshot.Snapshot[registry.Machine]

func (h *handler) machines(w http.ResponseWriter, r *http.Request) {
	snap, ok := h.snapshot(w, r)
	if !ok {
		return
	}
	list := make([]registry.Machine, 0, snap.Len())
	for _, m := range snap.All() {
		list = append(list, m)
	}
	answer(w, http.StatusOK, list)
}

func (h *handler) machine(w http.ResponseWriter, r *http.Request) {
	snap, ok := h.snapshot(w, r)
	if !ok {
		return
	}
	name := r.PathValue("name")
	m, found := snap.Get(name)
	if !found {
		refuse(w, http.StatusNotFound, fmt.Sprintf("no machine %q at revision %d", name, snap.Revision()))
		return
	}
	answer(w, http.StatusOK, m)
}

func (h *handler) revision(w http.ResponseWriter, r *http.Request) {
	if snap, ok := h.snapshot(w, r); ok {
		answer(w, http.StatusOK, map[string]registry.Revision{"revision": snap.Revision()})
	}
}

// health is 200 also when something only works worse than it could: a load
// balancer should not take the service away for that. It is 503 when the file
// cannot be read, and answers are therefore of the past.
func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	stats := h.reg.Stats()
	report := struct {
		Revision registry.Revision `json:"revision"`
		Machines int               `json:"machines"`
		Latest   string            `json:"latest"`
		Changes  string            `json:"changes"`
		Problem  string            `json:"problem,omitempty"`
	}{stats.Revision, stats.Entries, stats.Latest.Name, stats.Changes.Name, ""}
	if err := h.reg.Health(); err != nil {
		report.Problem = err.Error()
	}
	status := http.StatusOK
	if stats.Trouble != nil {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, report)
}

// snapshot is what to answer from. It reports false if the request has been
// answered already.
func (h *handler) snapshot(w http.ResponseWriter, r *http.Request) (*machinesSnapshot, bool) {
	snap := h.reg.Snapshot()
	if text := r.URL.Query().Get("at-least"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("at-least=%q is not a revision", text))
			return nil, false
		}
		ctx, cancel := context.WithTimeout(r.Context(), h.wait)
		defer cancel()
		if snap, err = h.reg.AtLeast(ctx, registry.Revision(n)); err != nil {
			refuse(w, http.StatusGatewayTimeout, err.Error())
			return nil, false
		}
	}
	tag := fmt.Sprintf("%q", strconv.FormatUint(uint64(snap.Revision()), 10))
	w.Header().Set("ETag", tag)
	for known := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(known), "W/") == tag {
			w.WriteHeader(http.StatusNotModified)
			return nil, false
		}
	}
	return snap, true
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // fails if the client is gone, and then nobody wants to know
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Del("ETag")
	answer(w, status, map[string]string{"error": message})
}
