/*
 * What a loss of power leaves of acknowledged writes.
 *
 * Writers with SyncFull and with SyncNone replace the file and sync; another
 * program replaces it and syncs nothing; syncs fail; writers die. Power may be
 * lost in every state, so what must survive is asserted after every step.
 *
 * A run is shaped by -D: the bounds below, and one mutant or one hazard.
 * README.md lists them.
 */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 2   /* writes begun, by all writers together */
#endif
#ifndef FOREIGN
#define FOREIGN 1  /* files put in place by another program, unsynced */
#endif
#ifndef FAILS
#define FAILS 1    /* syncs that fail */
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define DURABILITY 1
#ifndef PROPS
#define PROPS 1
#endif
#define CHECK(property, cond) assert(!(PROPS & property) || (cond))

#define VERSIONS (WRITES + FOREIGN + 1)

/* The file's versions in the order of their renames; each is a file of its own. */
byte path;                  /* the version at the path */
byte disk;                  /* the version at the path on disk; after a loss of power, this or a later one */
bool onDisk[VERSIONS];      /* its bytes are */
bool another[VERSIONS];     /* put there by the other program */
bool same[VERSIONS];        /* with the bytes of the version before */

/* The directory in the kernel. After a failed sync what was dirty may be dropped
 * and counted as clean: then a sync that succeeds has not written it. */
bool dropped;               /* the rename to path is */
byte failed;                /* failures so far; a descriptor reports those since it was opened */

/* The page. */
byte durable;               /* the version whose rename its writer has synced */
#ifdef MARK_ONLY
bool mark;                  /* a sync of the directory failed */
#endif

byte owner;
byte writes, fails, kills, foreigns;
byte acked;                 /* the newest version acknowledged under SyncFull */

/* What is lost is neither acknowledged, nor did it take the place of what is:
 * but for what another program put there without syncing it. */
inline survives() {
	CHECK(DURABILITY, disk >= acked);
	v = disk;
	do
	:: v <= path ->
		CHECK(DURABILITY, onDisk[v] || (another[v] && v > acked));
		v++
	:: else -> break
	od;
	v = 0
}

inline unlock() {
	if
	:: owner == w + 1 -> owner = 0
	:: else
	fi
}

#ifdef NO_ERRSEQ
#define REPORTED true
#else
#define REPORTED (opened == failed)
#endif

inline acknowledge() {
	if
	:: strict && base > acked -> acked = base
	:: else
	fi;
	survives()
}

#define KILLED atomic { kills < KILLS -> kills++; goto killed }

proctype writer(byte w) {
	bool strict;         /* SyncFull, or SyncNone */
	byte base;         /* the version refreshed, then the one written */
	byte opened;       /* the failures when the directory was opened */
	bool good;         /* the sync succeeded */
	byte v;

begin:
end_idle:
	/* L: lock and refresh. */
	if
	:: d_step { writes < WRITES && owner == 0 -> writes++; owner = w + 1; strict = true; base = path }
	:: d_step { writes < WRITES && owner == 0 -> writes++; owner = w + 1; strict = false; base = path }
	fi;
	/* A: apply. A write that changes nothing is acknowledged for what was found,
	 * if that very file is known to be durable; else it is written anew. */
	if
	:: skip
#if defined(NOOP_NOT_SYNCED)
	:: atomic { true -> goto answer }
#elif defined(RESYNC_AFTER_FAILURE)
	:: atomic { true -> goto found }
#elif defined(MARK_ONLY)
	:: atomic { !mark -> goto found }
#elif defined(DURABLE_BY_REVISION)
	:: atomic { durable == base || (durable + 1 == base && same[base]) -> goto answer }
#else
	:: atomic { !strict || durable == base -> goto answer }
#endif
	:: KILLED
	fi;

	/* W1: write and sync the temporary file. If the sync fails, so does the write. */
	if
	:: skip
	:: atomic { fails < FAILS -> fails++; goto failure }
	:: KILLED
	fi;
#ifndef DIR_OPENED_AFTER
	/* W2: open the directory, so that its descriptor reports what fails from now on. */
	if
	:: d_step { opened = failed }
	:: KILLED
	fi;
#endif
	/* W3: fence and rename; what another program put there meanwhile is not lost. */
	if
	:: d_step { path == base ->
		path++; base = path; dropped = false;
#ifdef SYNCNONE_NO_BYTES
		onDisk[path] = strict;
#else
		onDisk[path] = true;
#endif
		survives()
	   }
	:: atomic { path != base -> goto failure }
	:: KILLED
	fi;
	goto directory;

#if defined(RESYNC_AFTER_FAILURE) || defined(MARK_ONLY)
found:
	/* N: open the directory, and sync the bytes of what was found. */
	if
	:: d_step { onDisk[base] = true; opened = failed }
	:: KILLED
	fi;
#endif

directory:
	/* U: release. The directory is synced while the next writer is at work. */
#ifndef SYNC_LOCKED
	if
	:: d_step { unlock() }
	:: KILLED
	fi;
#endif
#ifndef DIR_OPENED_AFTER
	if
	:: atomic { !strict -> goto answer }
	:: strict
	fi;
#else
	if
	:: atomic { !strict -> goto answer }
	:: d_step { strict -> opened = failed }
	fi;
#endif
	/* D1: sync the directory, which succeeds, or reports a failure, its own or
	 * another one since it was opened. */
	if
	:: d_step {
		if
		:: !dropped -> disk = path
		:: else
		fi;
		good = REPORTED;
		survives()
	   }
	:: d_step { fails < FAILS -> fails++; failed++; dropped = (disk != path); good = false }
	:: KILLED
	fi;
	/* D2: say so in the page. */
	if
#ifdef MARK_ONLY
	:: atomic { !good -> mark = true; goto failure }
#else
	:: atomic { !good -> goto failure }
#endif
#ifdef MARK_ONLY
	:: atomic { good && mark -> goto failure }
	:: good && !mark
#else
	:: d_step { good -> durable = base }
#endif
	:: KILLED
	fi;

answer:
	if
	:: d_step { acknowledge() }
	fi;
failure:
	if
	:: d_step { unlock(); strict = false; base = 0; opened = 0; good = false }
	fi;
	goto begin;

killed:
	if
	:: d_step { unlock(); strict = false; base = 0; opened = 0; good = false }
	fi;
	goto begin
}

proctype foreign() {
	byte v;
end_foreign:
	do
	:: d_step { foreigns < FOREIGN -> foreigns++; path++; another[path] = true; dropped = false; survives() }
	:: d_step { foreigns < FOREIGN -> foreigns++; path++; another[path] = true; same[path] = true; dropped = false; survives() }
	:: foreigns == FOREIGN -> break
	od
}

init {
	byte i;
	atomic {
		onDisk[0] = true;
		do
		:: i < WRITERS -> run writer(i); i++
		:: else -> break
		od;
		i = 0;
		run foreign()
	}
}
