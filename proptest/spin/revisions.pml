/*
 * Revisions while other programs write the registry file.
 *
 * Handles read, write and settle; a foreign writer replaces the file at any
 * moment but the one between fence and rename; processes die, with all their
 * handles. machreg.pml has shown that the lock excludes and that the sequence
 * validates, so the lock is one step here and the page is never lost.
 *
 * A run is shaped by -D: the bounds below, PROPS, one mutant or one hazard.
 * README.md lists them.
 */

#ifndef HANDLES
#define HANDLES 2
#endif
#ifndef PER
#define PER 1      /* handles of one process, which die together */
#endif
#ifndef WRITES
#define WRITES 2   /* commits begun, by all handles together */
#endif
#ifndef FOREIGN
#define FOREIGN 1  /* files put in place by other programs */
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define UNIQUE    1
#define CONDITION 2
#define MONOTONE  4
#define FRESHNESS 8
#define KEPT      16
#define REACHED   32
#ifndef PROPS
#define PROPS 63
#endif
#define CHECK(property, cond) assert(!(PROPS & property) || (cond))

#define FIRST 2    /* the revision at the start; 1 is a backup of the one before */
#define REVS (FIRST + 2 * WRITES + 2 * FOREIGN + 1)
#define ODD(s) ((s) & 1)
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define PROCESS(h) ((h) / PER)
#define SIZE(p) ((p) * PER + PER <= HANDLES -> PER : HANDLES - (p) * PER)

/* The registry file. Two contents are equal if they have the same number. */
byte fileContent, fileClaim;
bool fileValid;    /* its checksum is one that this library wrote */

/* The page. Reserved is stored before the rename, published after it. */
byte pageSeq;
byte pubRev, pubContent;
byte resRev, resContent;

/* The lock, and what its holder's fence compares. */
byte owner;        /* handle + 1 */
bool changed;      /* the file is not the one that the holder refreshed */
bool window;       /* between fence and rename, where a foreign write is lost */

/* What each handle holds. */
byte own[HANDLES];     /* the revision that it reported last */
byte token[HANDLES];   /* validates its snapshot; 0 is none */
byte seen[HANDLES];    /* top when its snapshot was read */

bool dead[HANDLES];    /* by process */
byte down[HANDLES];
byte writes, foreigns, kills;

/* What the properties speak of; no step of the protocol depends on it. */
byte contents;           /* made so far */
byte top;                /* the highest revision renamed into place */
byte made[REVS + 1];     /* what was renamed into place as that revision: a backup may exist */
byte handed[REVS + 1];   /* what was handed out as that settled revision */
#ifdef HAND_EDITS_COUNT
byte held[HANDLES];      /* the content reported last */
#endif
#ifdef EDIT_TAKEN_BACK
byte noteRev, noteContent; /* a number that a user took from an edited snapshot */
#endif

/* PUBLISHED, RESERVED: is what was read the content of that record? */
#ifdef NO_SUM
#define IS_PUBLISHED (valid && claim == pubRev)
#else
#define IS_PUBLISHED (content == pubContent)
#endif
#ifdef RECORDED_ONLY
#define NO_RESERVE
#else
#ifdef NO_RESERVE
#define IS_RESERVED (valid && claim > pubRev)
#else
#define IS_RESERVED (valid && claim == resRev && content == resContent)
#endif
#endif

/* Which revision stands for what was read, and is it settled? below is what the
 * page said before the file was read. */
inline judge() {
	settled = true;
	if
#ifdef ODD_RECORD_IGNORED
	:: ODD(pageSeq) -> settled = false; label = MAX(own[h], below)
	:: !ODD(pageSeq) && IS_PUBLISHED && pubRev >= own[h] -> label = pubRev
	:: !ODD(pageSeq) && !IS_PUBLISHED && IS_RESERVED && claim >= own[h] -> label = claim
#else
	:: IS_PUBLISHED && pubRev >= own[h] -> label = pubRev
#ifndef RECORDED_ONLY
	:: !IS_PUBLISHED && IS_RESERVED && claim >= own[h] -> label = claim
#endif
#endif
	:: else -> settled = false; label = MAX(own[h], below)
	fi;
	if
#ifdef CLAIM_REPORTED
	:: !settled && claim > label -> label = claim
#endif
#ifdef HAND_EDITS_COUNT
	:: !settled && content != held[h] -> settled = true; label = MAX(label, claim) + 1
	:: !settled && content == held[h] -> settled = true; label = own[h]
#endif
#ifdef NOT_MONOTONE
	:: !settled -> label = below
#endif
	:: else
	fi
}

/* The snapshot is handed out. */
inline report() {
	CHECK(MONOTONE, label >= own[h]);
	CHECK(REACHED, settled || label <= reached || top == reached);
	own[h] = label;
#ifdef HAND_EDITS_COUNT
	held[h] = content;
#endif
	if
	:: settled ->
		CHECK(UNIQUE, handed[label] == 0 || handed[label] == content);
		if
		:: handed[label] == 0 -> handed[label] = content
		:: else
		fi
	:: else ->
#ifdef EDIT_TAKEN_BACK
		noteRev = label; noteContent = content
#else
		skip
#endif
	fi
}

inline readFile() {
	content = fileContent; claim = fileClaim; valid = fileValid; reached = top
}

inline forget() {
	before = 0; below = 0; content = 0; claim = 0; valid = false; reached = 0;
	settled = false; label = 0; next = 0; formerRev = 0; formerContent = 0
}

#ifdef ODD_RECORD_IGNORED
#define RECORDED(x) (ODD(pageSeq) -> 0 : x)
#else
#define RECORDED(x) (x)
#endif
#ifdef RESERVE_REPORTED
#define BELOW RECORDED(resRev)
#else
#define BELOW RECORDED(pubRev)
#endif
#ifdef NO_RESERVE
#define GIVEN RECORDED(pubRev)
#else
#define GIVEN RECORDED(resRev)
#endif
#ifdef SETTLE_IN_ONE
#define EDIT 0
#else
#define EDIT (settled -> 0 : 1)
#endif

proctype handle(byte h) {
	byte before;     /* the sequence before the file was read; 0 is odd */
	byte below;      /* the page's published revision before the file was read */
	byte content, claim, reached;
	bool valid, settled;
	byte label;
	byte next;       /* the revision that this commit makes */
	byte formerRev, formerContent;

begin:
	{
end_idle:
	do
	/* A: Latest, and nothing is newer. */
	:: d_step { token[h] != 0 && token[h] == pageSeq -> CHECK(FRESHNESS, seen[h] == top) }
	/* R1: a refresh without the lock: the sequence and the record. */
	:: d_step {
		token[h] = 0; seen[h] = 0;
		before = (ODD(pageSeq) -> 0 : pageSeq);
		below = BELOW
	   };
		/* R2: open and read one version. */
		d_step { readFile() };
		/* R3: the sequence and the record again. What neither record knows may be
		 * read again, or is edited; the model does both. */
		if
		:: d_step {
#ifdef RECORD_AFTER_READ
			below = BELOW;
#endif
			judge();
			report();
			if
			:: before != 0 && before == pageSeq -> token[h] = before; seen[h] = reached
			:: else
			fi;
			forget()
		   }
		:: d_step { before != pageSeq -> forget() }
		fi

	/* L: lock. */
	:: d_step { writes < WRITES && owner == 0 -> writes++; owner = h + 1; token[h] = 0; seen[h] = 0 };
		/* C1: refresh. The holder's page does not change, so when it is looked at
		 * does not matter. */
		d_step { readFile(); changed = false; below = BELOW; judge(); report() };
		/* C2: apply. A condition is accepted on settled content only; one that is
		 * refused, or a write that changes nothing, settles edited content too. */
		if
		:: d_step {
			next = MAX(MAX(GIVEN, claim), own[h]) + EDIT + 1;
			contents++; content = contents
		   }
#ifdef NO_SETTLE
		:: d_step {
#else
		:: d_step { settled ->
#endif
			/* IfRevision(label) */
			CHECK(CONDITION, handed[label] == 0 || handed[label] == content);
#ifdef EDIT_TAKEN_BACK
			CHECK(CONDITION, noteRev != label || noteContent == content);
#endif
			next = MAX(MAX(GIVEN, claim), own[h]) + EDIT + 1;
			contents++; content = contents
		   }
		:: d_step { !settled -> next = MAX(MAX(GIVEN, claim), own[h]) + 1 }
		:: settled -> goto repair
		fi;
		/* F: the fence. */
		if
#ifdef NO_FENCE
		:: d_step { window = true }
#else
		:: d_step { !changed -> window = true }
		:: changed -> goto unlock
#endif
		fi;
		/* C3: reserve, then odd. Readers look for what was reserved only once it
		 * is in the file. */
#ifdef RECORD_BEFORE_RENAME
		d_step { formerRev = resRev; formerContent = resContent; resRev = next; resContent = content; pubRev = next; pubContent = content };
#else
#ifndef NO_RESERVE
		d_step { formerRev = resRev; formerContent = resContent; resRev = next; resContent = content };
#endif
#endif
		d_step { pageSeq = pageSeq | 1 };
		/* C4: rename. It can fail, and then what was reserved is free again. */
		if
		:: d_step {
			CHECK(KEPT, !changed);
			CHECK(REACHED, own[0] < next && own[1] < next && own[HANDLES - 1] < next);
			window = false;
			fileContent = content; fileClaim = next; fileValid = true;
			made[next] = content;
			top = MAX(top, next)
		   }
		:: d_step {
			window = false;
#ifndef NO_RESERVE
			resRev = formerRev; resContent = formerContent;
#endif
			next = 0
		   };
			goto even
		fi;
		/* C5: the record. */
		d_step { pubRev = next; pubContent = content };
even:
		/* C6: even, and the answer. */
		if
		:: d_step {
			pageSeq = (pageSeq | 1) + 1;
			if
			:: next != 0 ->
				label = next; settled = true; reached = top;
				report();
				token[h] = pageSeq; seen[h] = top
			:: else
			fi
		   }
		fi;
		goto unlock;
repair:
		/* A holder with nothing to write ends the odd phase of one that died. What
		 * that one had reserved was published if it is what was found. */
		if
		:: d_step { ODD(pageSeq) ->
#ifndef RECORDED_ONLY
			if
			:: IS_RESERVED -> pubRev = claim; pubContent = content
			:: else
			fi;
#endif
#ifdef RESERVE_FREED
			resRev = pubRev; resContent = pubContent;
#endif
			next = 0
		   };
			goto even
		:: !ODD(pageSeq)
		fi;
unlock:
		if
		:: d_step { owner = 0; window = false; forget() }
		fi
	od
	} unless { dead[PROCESS(h)] };

	d_step {
		forget();
		down[PROCESS(h)]++;
		if
		:: down[PROCESS(h)] == SIZE(PROCESS(h)) -> down[PROCESS(h)] = 0; dead[PROCESS(h)] = false
		:: else
		fi
	};
	/* A new process, with nothing in memory. */
	!dead[PROCESS(h)];
	goto begin
}

/* Kills a process with all its handles; the kernel frees its lock. */
proctype killer() {
	byte i;
end_killer:
	do
	:: d_step { kills < KILLS && !dead[PROCESS(i)] ->
		kills++;
		dead[PROCESS(i)] = true;
		if
		:: owner != 0 && PROCESS(owner - 1) == PROCESS(i) -> owner = 0; window = false
		:: else
		fi;
		own[i] = 0; token[i] = 0; seen[i] = 0;
#if PER == 2
		if
		:: i + 1 < HANDLES -> own[i + 1] = 0; token[i + 1] = 0; seen[i + 1] = 0
		:: else
		fi;
#endif
		i = 0
	   }
	:: d_step { kills < KILLS && i + PER < HANDLES -> i = i + PER }
	:: atomic { kills == KILLS -> i = 0; break }
	od
}

/* Another program. It looks at no lock, and touches no page. */
#define PUT(c, r, v) fileContent = c; fileClaim = r; fileValid = v; changed = true; foreigns++
#define MAY (foreigns < FOREIGN && !window)
proctype foreign() {
	byte i;
end_foreign:
	do
	/* An edit that leaves the revision as it was, drops it, or counts it up. */
	:: d_step { MAY -> contents++; PUT(contents, fileClaim, false) }
	:: d_step { MAY -> contents++; PUT(contents, 0, false) }
	:: d_step { MAY -> contents++; PUT(contents, top + 1, false) }
	/* A backup: whatever was once at the path, as this library wrote it. */
	:: d_step { MAY && made[i] != 0 -> PUT(made[i], i, true); i = 0 }
	:: d_step { MAY && i < top -> i++ }
#ifdef COPIES
	/* The file of another registry, made by this library too. */
	:: d_step { MAY -> contents++; PUT(contents, pubRev, true) }
	:: d_step { MAY -> contents++; PUT(contents, top + 1, true) }
#endif
	:: atomic { foreigns == FOREIGN -> i = 0; break }
	od
}

init {
	byte i;
	atomic {
		contents = 2; top = FIRST;
		made[1] = 1; made[2] = 2; handed[1] = 1; handed[2] = 2;
		fileContent = 2; fileClaim = FIRST; fileValid = true;
		pubRev = FIRST; pubContent = 2; resRev = FIRST; resContent = 2;
		pageSeq = 2;
		do
		:: i < HANDLES -> run handle(i); i++
		:: else -> break
		od;
		i = 0;
		run killer(); run foreign()
	}
}
