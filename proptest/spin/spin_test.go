// Package spin_test checks the Promela models of the protocol (described in
// README.md) with the spin model checker: that each holds, that its whole state
// space was searched, and that the same search refutes the model as soon as one
// of the protocol's rules is broken.
//
// A plain go test takes small bounds; MACHREG_SPIN=full takes all of them, up
// to 2 GB of memory and a few minutes on two cores.
package spin_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// holding are the searches that must find nothing.
var holding = []search{
	// The longest comes first, so that all others fit beside it.
	{name: "two readers, two operations", props: every, large: true,
		defines: []string{"WRITERS=2", "READERS=2", "OPS=2", "LOSSES=0"}},
	{name: "two readers", props: every,
		defines: []string{"WRITERS=2", "READERS=2", "OPS=1", "LOSSES=0"}},
	{name: "page lost", props: every,
		defines: []string{"WRITERS=2", "READERS=1", "OPS=1", "LOSSES=1", "PAGE_AT_START"}},

	{name: "page lost, two readers", props: every, large: true,
		defines: []string{"WRITERS=2", "READERS=2", "OPS=1", "LOSSES=1", "PAGE_AT_START"}},
	{name: "page lost, two operations", props: every, large: true,
		defines: []string{"WRITERS=2", "READERS=1", "OPS=2", "LOSSES=1", "PAGE_AT_START"}},
	{name: "page retired by anybody", props: every, large: true,
		defines: []string{"DISTRUST", "WRITERS=2", "READERS=1", "OPS=1", "LOSSES=1", "PAGE_AT_START"}},
	{name: "page swapped, two operations", props: every, large: true,
		defines: []string{"WRITERS=2", "READERS=1", "OPS=2", "LOSSES=0", "SWAPS=1", "PAGE_AT_START"}},
	{name: "three writers", props: every, large: true,
		defines: []string{"WRITERS=3", "READERS=1", "OPS=1", "LOSSES=1"}},
	{name: "writers alone, three operations", props: every, large: true,
		defines: []string{"WRITERS=2", "READERS=0", "OPS=3", "LOSSES=1", "PAGE_AT_START"}},
	{name: "without the second load", props: every, large: true,
		defines: []string{"NO_SECOND_LOAD", "WRITERS=2", "READERS=1", "OPS=1", "LOSSES=1", "PAGE_AT_START"}},
	// The lock file's name is taken away in use: two writers hold "the" lock,
	// and a lock on the registry file itself keeps everything else true.
	{name: "lock removed, registry file locked too", props: durability | freshness, large: true,
		defines: []string{"LOCK_REMOVED", "FILE_LOCKED", "WRITERS=2", "READERS=1", "OPS=2", "LOSSES=0", "PAGE_AT_START"}},

	{name: "revisions/one write", model: revisions, props: everyRevisions,
		defines: []string{"WRITES=1", "FOREIGN=1", "KILLS=1"}},
	{name: "revisions/two handles of one process", model: revisions, props: everyRevisions,
		defines: []string{"PER=2", "WRITES=1", "FOREIGN=1", "KILLS=1"}},
	{name: "revisions/two writes", model: revisions, props: everyRevisions, large: true,
		defines: []string{"WRITES=2", "FOREIGN=1", "KILLS=1"}},
	{name: "revisions/two writes of one process", model: revisions, props: everyRevisions, large: true,
		defines: []string{"PER=2", "WRITES=2", "FOREIGN=1", "KILLS=1"}},
	{name: "revisions/two foreign files, copies too", model: revisions, props: everyRevisions, large: true,
		defines: []string{"COPIES", "WRITES=1", "FOREIGN=2", "KILLS=1"}},
	{name: "revisions/settled in one step", model: revisions, props: everyRevisions, large: true,
		defines: []string{"SETTLE_IN_ONE", "WRITES=1", "FOREIGN=2", "KILLS=1"}},
	{name: "revisions/recorded ones only", model: revisions, props: everyRevisions, large: true,
		defines: []string{"RECORDED_ONLY", "WRITES=2", "FOREIGN=1", "KILLS=1"}},

	{name: "syncs/two writes", model: syncs, props: survive,
		defines: []string{"WRITES=2", "FOREIGN=1", "FAILS=1", "KILLS=1"}},
	{name: "syncs/under the lock", model: syncs, props: survive,
		defines: []string{"NO_ERRSEQ", "SYNC_LOCKED", "WRITES=2", "FOREIGN=1", "FAILS=1", "KILLS=1"}},
	{name: "syncs/three writes", model: syncs, props: survive, large: true,
		defines: []string{"WRITES=3", "FOREIGN=2", "FAILS=2", "KILLS=2"}},
}

// refuted are the searches that must find a violation of the one property they
// assert. For freshness that is the plainest form: an acknowledged write unseen.
var refuted = []search{
	{name: "no identity check/two holders", props: exclusion,
		defines: []string{"NO_IDENTITY_CHECK", "READERS=0", "OPS=2", "LOSSES=0"}},
	{name: "no identity check/lost update", props: durability,
		defines: []string{"NO_IDENTITY_CHECK", "READERS=0", "OPS=2", "LOSSES=0"}},
	{name: "no identity check/stale", props: freshness,
		defines: []string{"NO_IDENTITY_CHECK", "FLOOR_ACKED", "READERS=1", "OPS=2", "LOSSES=0"}},
	{name: "unlink after release/two holders", props: exclusion,
		defines: []string{"UNLINK_AFTER_RELEASE", "READERS=0", "OPS=2", "LOSSES=0"}},
	{name: "unlink after release/lost update", props: durability,
		defines: []string{"UNLINK_AFTER_RELEASE", "READERS=0", "OPS=2", "LOSSES=0"}},
	{name: "work after removal/two holders", props: exclusion,
		defines: []string{"WORK_AFTER_REMOVAL", "READERS=0", "OPS=1", "LOSSES=0"}},
	{name: "work after removal/stale", props: freshness,
		defines: []string{"WORK_AFTER_REMOVAL", "FLOOR_ACKED", "READERS=1", "OPS=1", "LOSSES=0", "PAGE_AT_START"}},
	{name: "no odd phase/stale", props: freshness,
		defines: []string{"NO_ODD_PHASE", "FLOOR_ACKED", "READERS=2", "OPS=1", "LOSSES=0", "PAGE_AT_START"}},
	{name: "odd token/stale", props: freshness,
		defines: []string{"ODD_TOKEN", "FLOOR_ACKED", "READERS=1", "OPS=1", "LOSSES=0", "PAGE_AT_START"}},
	{name: "token read after the file/stale", props: freshness,
		defines: []string{"TOKEN_READ_AFTER", "FLOOR_ACKED", "READERS=1", "OPS=1", "LOSSES=0", "PAGE_AT_START"}},
	{name: "repair to the same sequence/stale", props: freshness,
		defines: []string{"REPAIR_TO_SAME", "FLOOR_ACKED", "READERS=1", "OPS=1", "LOSSES=0", "PAGE_AT_START"}},
	{name: "no retirement/stale", props: freshness,
		defines: []string{"NO_RETIRE", "FLOOR_ACKED", "READERS=1", "OPS=1", "LOSSES=1", "PAGE_AT_START"}},
	{name: "reader creates the page/stale", props: freshness,
		defines: []string{"READER_CREATES_PAGE", "FLOOR_ACKED", "READERS=1", "OPS=1", "LOSSES=1", "PAGE_AT_START"}},
	{name: "acknowledged before the rename/lost update", props: durability,
		defines: []string{"ACK_BEFORE_RENAME", "READERS=0", "OPS=1", "LOSSES=0"}},

	// Hazards: not the protocol's mistakes, but the edges of what it promises.
	{name: "hazard/lock removed by others/two holders", props: exclusion,
		defines: []string{"LOCK_REMOVED", "READERS=0", "OPS=1", "LOSSES=0"}},
	{name: "hazard/lock removed by others/lost update", props: durability,
		defines: []string{"LOCK_REMOVED", "READERS=0", "OPS=1", "LOSSES=0"}},
	{name: "hazard/page swapped during a commit/stale", props: freshness,
		defines: []string{"PAGE_SWAPPED", "SWAPS=1", "FLOOR_ACKED", "READERS=1", "OPS=1", "LOSSES=0", "PAGE_AT_START"}},
	{name: "hazard/page lost, next writer never had it/stale", props: freshness, large: true,
		defines: []string{"PAGE_FORGOTTEN", "FLOOR_ACKED", "READERS=1", "OPS=2", "LOSSES=1", "PAGE_AT_START"}},

	{name: "each handle counts hand edits/one revision, two contents", model: revisions, props: unique,
		defines: []string{"HAND_EDITS_COUNT", "WRITES=1", "KILLS=0"}},
	{name: "edited content accepts a condition/missed conflict", model: revisions, props: condition,
		defines: []string{"NO_SETTLE", "WRITES=1", "KILLS=0"}},
	{name: "an odd record is ignored/one revision, two contents", model: revisions, props: unique,
		defines: []string{"ODD_RECORD_IGNORED", "WRITES=2"}},
	{name: "nothing is reserved/one revision, two contents", model: revisions, props: unique, large: true,
		defines: []string{"NO_RESERVE", "WRITES=2"}},
	{name: "a repair frees what was reserved/one revision, two contents", model: revisions, props: unique, large: true,
		defines: []string{"RESERVE_FREED", "WRITES=3"}},
	{name: "no checksum in the record/one revision, two contents", model: revisions, props: unique,
		defines: []string{"NO_SUM", "COPIES", "WRITES=1"}},
	{name: "no checksum in the record/missed conflict", model: revisions, props: condition, large: true,
		defines: []string{"NO_SUM", "COPIES", "WRITES=1"}},
	{name: "no own revision/goes back", model: revisions, props: monotone,
		defines: []string{"NOT_MONOTONE", "WRITES=2"}},
	{name: "no fence/foreign write lost", model: revisions, props: kept,
		defines: []string{"NO_FENCE", "WRITES=1"}},
	{name: "the record is loaded after the file/AtLeast returns early", model: revisions, props: reached,
		defines: []string{"RECORD_AFTER_READ", "WRITES=1", "KILLS=0"}},
	{name: "the record is stored before the rename/AtLeast returns early", model: revisions, props: reached,
		defines: []string{"RECORD_BEFORE_RENAME", "WRITES=1"}},
	{name: "what is reserved is reported/AtLeast returns early", model: revisions, props: reached,
		defines: []string{"RESERVE_REPORTED", "WRITES=1", "KILLS=0"}},
	{name: "a foreign claim is reported/AtLeast returns early", model: revisions, props: reached,
		defines: []string{"CLAIM_REPORTED", "WRITES=1", "FOREIGN=2", "KILLS=0"}},
	{name: "hazard/an edit is taken back/missed conflict", model: revisions, props: condition,
		defines: []string{"EDIT_TAKEN_BACK", "WRITES=1", "FOREIGN=2"}},

	{name: "SyncNone syncs no bytes/lost", model: syncs, props: survive,
		defines: []string{"SYNCNONE_NO_BYTES"}},
	{name: "a write that changes nothing syncs nothing/lost", model: syncs, props: survive,
		defines: []string{"NOOP_NOT_SYNCED"}},
	{name: "synced again after a failure/lost", model: syncs, props: survive,
		defines: []string{"RESYNC_AFTER_FAILURE"}},
	{name: "failures are marked/lost", model: syncs, props: survive,
		defines: []string{"MARK_ONLY"}},
	{name: "durable by revision/lost", model: syncs, props: survive,
		defines: []string{"DURABLE_BY_REVISION"}},
	{name: "directory opened after the rename/lost", model: syncs, props: survive,
		defines: []string{"DIR_OPENED_AFTER"}},
	{name: "hazard/a failed sync is reported once/lost", model: syncs, props: survive,
		defines: []string{"NO_ERRSEQ"}},
}

// selected says whether s belongs to this run, which MACHREG_SPIN decides.
func selected(t *testing.T, s search) bool {
	t.Helper()
	switch value := os.Getenv("MACHREG_SPIN"); value {
	case "":
		return !s.large
	case "full":
		return true
	default:
		t.Fatalf("MACHREG_SPIN=%q: want full, or nothing", value)
		return false
	}
}

func TestModelHolds(t *testing.T) {
	requireTools(t)
	for _, s := range holding {
		if !selected(t, s) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			o := s.run(t)
			t.Logf("%v: %v", s.flags(), o)
			if o.errors != 0 {
				t.Errorf("%v: %d errors, want none:\n%s", s.flags(), o.errors, o.trail)
			}
			if o.incomplete != "" {
				t.Errorf("%v: not exhausted: %s", s.flags(), o.incomplete)
			}
			// A step never taken would make the verdict an empty one.
			for _, statement := range o.unreached {
				if strings.HasPrefix(statement, "reader ") && slices.Contains(s.defines, "READERS=0") {
					continue
				}
				t.Errorf("%v: never reached: %s", s.flags(), statement)
			}
		})
	}
}

func TestMutantsAreRefuted(t *testing.T) {
	requireTools(t)
	for _, s := range refuted {
		if !selected(t, s) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			o := s.run(t)
			t.Logf("%v: %v", s.flags(), o)
			if o.violated != s.props {
				t.Errorf("%v: violated property %d, want %d (%v)\n%s", s.flags(), o.violated, s.props, o, o.trail)
			}
		})
	}
}
