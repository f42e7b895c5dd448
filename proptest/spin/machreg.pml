/*
 * The registry's protocol between processes: lock, commit, revision page.
 *
 * Every numbered step is one system call or one atomic access to the mapped
 * page, so every interleaving of those is explored, with a kill between any
 * two of them. README.md says what is left out and what each property means.
 *
 * A run is shaped by -D: the bounds below, PROPS (which properties are
 * asserted), FLOOR_ACKED, one mutant or one hazard. README.md lists them.
 */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef OPS
#define OPS 2      /* operations a writer begins; a killed one counts */
#endif
#ifndef LOSSES
#define LOSSES 1   /* times the page is deleted by somebody else */
#endif
#ifndef SWAPS
#define SWAPS 0    /* times somebody else puts a copy of the page in its place */
#endif

#define EXCLUSION  1
#define DURABILITY 2
#define FRESHNESS  4
#ifndef PROPS
#define PROPS 7
#endif
#define CHECK(property, cond) assert(!(PROPS & property) || (cond))

#define PAGES (LOSSES + SWAPS + 1)
#define LOCKS (WRITERS + 1)  /* the path and every writer can each keep one alive */
#define GONE  255            /* mapped[w] of a process that does not run */
#define NEWBORN 2            /* tokens carry their mapping, so every page may begin alike */
#define ODD(s) ((s) & 1)

/* The lock: inode 0 is "no file". An inode is reused as soon as nobody has it
 * open, lowest first: the hardest case for a comparison of identities. */
byte lockPath;
byte lockOwner[LOCKS + 1];  /* writer + 1, or 0 */
byte lockOpen[WRITERS];

/* The registry file. Its revision is also its identity: DURABILITY asserts that
 * no two versions have the same one, as no two inodes pinned at once do. */
byte fileRev;
#ifdef FILE_LOCKED
#define FILES (WRITERS * OPS + 1)
byte fileOwner[FILES];
#endif

/* Revision pages by inode, never reused: a mapping pins its inode. */
byte pagePath;
byte pages;
byte pageSeq[PAGES + 1];
byte mapped[WRITERS];

byte losses;
bool lost;  /* the page went, and nobody who had it mapped has retired it yet */
#if SWAPS
byte swaps;
#endif
#ifdef LOCK_REMOVED
bool removed;
#endif

/* What the properties speak of; no step depends on it. */
byte holders;   /* verified holders inside their critical section */
#ifdef FLOOR_ACKED
byte acked;     /* highest revision acknowledged */
#define FLOOR acked
#else
#define FLOOR fileRev
#endif

inline openLock() {
	if
	:: lockPath == 0 ->
		ino = 1;
		do
		:: i < WRITERS && lockOpen[i] == ino -> ino++; i = 0
		:: i < WRITERS && lockOpen[i] != ino -> i++
		:: i == WRITERS -> break
		od;
		lockPath = ino;
		i = 0; ino = 0
	:: else
	fi;
	lockOpen[w] = lockPath
}

inline closeLock() {
	if
	:: lockOpen[w] != 0 && lockOwner[lockOpen[w]] == w + 1 -> lockOwner[lockOpen[w]] = 0
	:: else
	fi;
	lockOpen[w] = 0;
#ifdef FILE_LOCKED
	do
	:: i < FILES && fileOwner[i] == w + 1 -> fileOwner[i] = 0; i++
	:: i < FILES && fileOwner[i] != w + 1 -> i++
	:: i == FILES -> break
	od;
	i = 0
#endif
}

inline leave() {
	if
	:: inside -> holders--; inside = false
	:: else
	fi
}

inline createPage() {
	pages++;
	pageSeq[pages] = NEWBORN;
	pagePath = pages
}

#define KILLED atomic { true -> goto killed }

/* The answer to the caller. It is placed as early as it could be, which asks
 * the most of everybody else; a kill after it is a kill of an answered caller. */
inline acknowledge() {
#ifdef FLOOR_ACKED
	if
	:: (renamed || idle) && rev > acked -> acked = rev
	:: else
	fi;
#endif
	CHECK(DURABILITY, rev <= fileRev);
	renamed = false; idle = false; rev = 0; seq = 0
}

proctype writer(byte w) {
	byte op;            /* operations over */
	byte rev;           /* of the snapshot refreshed, then of the one written */
	byte seq;           /* the odd sequence this commit goes by */
	bool inside;        /* of the critical section */
	bool renamed, idle, unlinked;
	byte i, ino;

begin:
	/* L1: open, creating. */
	if
	:: d_step { op < OPS -> openLock() }
	:: atomic { op == OPS -> goto finished }
	fi;
	/* L2: wait for the kernel to hand the lock over. */
	if
	:: d_step { lockOwner[lockOpen[w]] == 0 -> lockOwner[lockOpen[w]] = w + 1 }
	:: KILLED
	fi;
	/* L3: is the file held the one at the path? */
	if
#ifdef NO_IDENTITY_CHECK
	:: d_step {
#else
	:: atomic { lockPath != lockOpen[w] -> goto startOver }
	:: d_step { lockPath == lockOpen[w] ->
#endif
			inside = true; holders++;
			CHECK(EXCLUSION, holders == 1)
		}
	:: KILLED
	fi;

	/* C1: refresh; the open descriptor pins one immutable version. There may
	 * be nothing to change (a write identical to what is there, a removal of
	 * the lock alone): then the answer is the revision refreshed. */
	if
	:: d_step { rev = fileRev }
	:: d_step { rev = fileRev; idle = true }
	:: KILLED
	fi;

#ifdef FILE_LOCKED
	/* G1, G2: lock that version too, and see that it is still at the path. */
	if
	:: d_step { fileOwner[rev] == 0 -> fileOwner[rev] = w + 1 }
	:: KILLED
	fi;
	if
	:: fileRev == rev
	:: atomic { fileRev != rev -> goto startOver }
	:: KILLED
	fi;
#endif

	/* P1: is the page mapped the one at the path? An idle holder need not ask. */
	if
	:: d_step { idle -> acknowledge() };
		goto unlink
	:: atomic { pagePath != 0 && pagePath == mapped[w] -> goto mappedPage }
	:: pagePath == 0 || pagePath != mapped[w]
	:: KILLED
	fi;
#ifndef NO_RETIRE
	/* P2: retire the one mapped: its readers look at the file from now on. */
	if
	:: d_step { pageSeq[mapped[w]] = pageSeq[mapped[w]] | (mapped[w] != 0) }
	:: KILLED
	fi;
#endif
	/* P3: map the one at the path, or create one. */
	if
	:: d_step {
		if
		:: pagePath == 0 -> createPage()
		:: else
		fi;
		mapped[w] = pagePath;
		lost = false
	   }
	:: KILLED
	fi;

mappedPage:
	if
	/* An idle holder that did ask repairs what a killed writer left odd. */
	:: d_step { idle && !ODD(pageSeq[mapped[w]]) -> acknowledge() };
		goto unlink
	:: d_step { idle && ODD(pageSeq[mapped[w]]) -> seq = pageSeq[mapped[w]] };
		goto makeEven
	/* F: the fence. */
#ifdef NO_IDENTITY_CHECK
	:: !idle && fileRev == rev
	:: atomic { !idle && fileRev != rev -> goto startOver }
#else
	:: !idle && lockPath == lockOpen[w] && fileRev == rev
	:: atomic { !idle && (lockPath != lockOpen[w] || fileRev != rev) -> goto startOver }
#endif
	:: KILLED
	fi;

	/* C2: odd, also when a killed writer left it so. */
	if
	:: d_step {
#ifdef NO_ODD_PHASE
		seq = pageSeq[mapped[w]] + 1
#else
		seq = pageSeq[mapped[w]] | 1;
#ifdef REPAIR_TO_SAME
		if
		:: ODD(pageSeq[mapped[w]]) -> seq = seq - 2
		:: else
		fi;
		pageSeq[mapped[w]] = pageSeq[mapped[w]] | 1
#else
		pageSeq[mapped[w]] = seq
#endif
#endif
	   }
	:: KILLED
	fi;
#ifdef ACK_BEFORE_RENAME
	d_step { rev++; CHECK(DURABILITY, rev <= fileRev); rev-- };
#endif
	/* C3: rename. It can also fail, and then has changed nothing. */
	if
	:: d_step {
		CHECK(DURABILITY, rev == fileRev);
		rev++;
#ifdef FILE_LOCKED
		fileOwner[rev] = w + 1;  /* before the rename, when nobody else has it */
#endif
		fileRev = rev;
		renamed = true
	   }
	:: skip
	:: KILLED
	fi;
#ifdef WORK_AFTER_REMOVAL
	if
	:: d_step { lockPath = 0; unlinked = true }
	:: skip
	:: KILLED
	fi;
#endif

makeEven:
	/* C4: the revision, then the next even sequence, one that no token carries.
	 * One step, for nobody takes the revision from under an odd sequence. */
	if
	:: d_step {
		pageSeq[mapped[w]] = seq + 1;
		acknowledge()
	   }
	:: KILLED
	fi;

unlink:
#ifdef UNLINK_AFTER_RELEASE
	if
	:: d_step { leave(); closeLock() }
	:: KILLED
	fi;
	if
	:: d_step { lockPath = 0; op++ }
	:: d_step { !unlinked -> op++ }
	:: KILLED
	fi;
#else
	/* U1: unlink, on some releases. The critical section ends here. */
	if
	:: d_step { !unlinked -> leave(); lockPath = 0 }
	:: skip
	:: KILLED
	fi;
	/* U2: release. */
	if
	:: d_step { leave(); closeLock(); unlinked = false; op++ }
	:: KILLED
	fi;
#endif
	goto begin;

startOver:
	if
	:: d_step { leave(); closeLock(); rev = 0; idle = false }
	:: KILLED
	fi;
	goto begin;

killed:
	atomic {
		leave(); closeLock();
		rev = 0; seq = 0;
		renamed = false; idle = false; unlinked = false;
		mapped[w] = GONE;
		op++
	};
	/* A new process takes its place, or never does. It maps what it finds. */
end_restart:
	if
	:: atomic { op == OPS -> goto finished }
	:: d_step { op < OPS && !lost -> mapped[w] = pagePath }
	fi;
	goto begin;

finished:
	mapped[w] = GONE
}

proctype reader() {
	byte rev;           /* the snapshot's revision; forgotten when it has no token */
	byte tok;           /* its token: an even sequence of the page; 0 is none */
	byte page;          /* the page mapped, at the path or not; 0 is none */
	byte floor;         /* what this Latest must not fall below */
	byte before;        /* the sequence before the file was read; 0 is no page, or odd */

end_idle:
	do
	/* M: map the page at the path, at any time or never again. */
	:: d_step { page != pagePath ->
#ifdef READER_CREATES_PAGE
		if
		:: pagePath == 0 -> createPage()
		:: else
		fi;
#endif
		page = pagePath;
		rev = 0; tok = 0 }
	/* R1: Latest, and nothing is newer. */
	:: d_step { tok != 0 && pageSeq[page] == tok -> CHECK(FRESHNESS, rev >= FLOOR) }
	/* R2: Latest, and something is; or a refresh for any other reason. */
	:: d_step {
		floor = FLOOR;
		rev = 0; tok = 0;
#ifdef TOKEN_READ_AFTER
		before = page
#else
#ifdef ODD_TOKEN
		before = pageSeq[page]
#else
		before = (ODD(pageSeq[page]) -> 0 : pageSeq[page])
#endif
#endif
	   };
		/* R3: open and read: one immutable version, and the answer. */
		d_step {
			CHECK(FRESHNESS, fileRev >= floor);
			rev = (before == 0 -> 0 : fileRev);
			floor = 0
		};
		/* R4: the token, if the sequence is still what it was. */
		d_step {
#ifdef TOKEN_READ_AFTER
			before = (ODD(pageSeq[page]) -> 0 : pageSeq[page]);
#endif
#ifdef NO_SECOND_LOAD
			tok = before;
#else
			tok = (pageSeq[page] == before -> before : 0);
#endif
			rev = (tok == 0 -> 0 : rev);
			before = 0
		}
	od
}

/* Whoever else can reach the files. A page may go only while every running
 * writer has it mapped, and may be swapped only between critical sections. */
#define HAS_IT(w) (mapped[w] == pagePath || mapped[w] == GONE)
#ifdef PAGE_FORGOTTEN
#define ALL_HAVE_IT true
#define LOST false
#else
#define LOST true
#if WRITERS == 3
#define ALL_HAVE_IT (HAS_IT(0) && HAS_IT(1) && HAS_IT(2))
#else
#define ALL_HAVE_IT (HAS_IT(0) && HAS_IT(1))
#endif
#endif
#ifdef PAGE_SWAPPED
#define NOBODY_INSIDE true
#else
#define NOBODY_INSIDE (holders == 0)
#endif
proctype stranger() {
end_stranger:
	do
	:: d_step { losses < LOSSES && pagePath != 0 && ALL_HAVE_IT ->
		losses++; lost = LOST;
		pagePath = 0 }
#if SWAPS
	:: d_step { swaps < SWAPS && pagePath != 0 && ALL_HAVE_IT && NOBODY_INSIDE ->
		swaps++; lost = LOST; pages++;
		pageSeq[pages] = pageSeq[pagePath];
		pagePath = pages }
#endif
#ifdef DISTRUST
	/* Anybody who doubts a page may retire it, with no lock and at any time. */
	:: d_step { pages > 0 && !ODD(pageSeq[1]) -> pageSeq[1] = pageSeq[1] | 1 }
#if PAGES > 1
	:: d_step { pages > 1 && !ODD(pageSeq[2]) -> pageSeq[2] = pageSeq[2] | 1 }
#endif
#endif
#ifdef LOCK_REMOVED
	:: d_step { lockPath != 0 && !removed -> removed = true; lockPath = 0 }
#endif
	od
}

init {
	byte i;
	atomic {
		/* A registry with a page that all have mapped, or one that never had any. */
#ifdef PAGE_AT_START
		pages = 1; pageSeq[1] = NEWBORN; pagePath = 1;
#endif
		do
		:: i < WRITERS -> mapped[i] = pagePath; run writer(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < READERS -> run reader(); i++
		:: else -> break
		od;
		i = 0;
		run stranger()
	}
}
