package proptest

// Difference is one thing in which this module's registry and the baseline do
// not behave alike, on purpose.
type Difference struct {
	// Name is what [Tolerate] and the tests call it.
	Name string
	// Baseline and Here say what each does.
	Baseline, Here string
	// Property is the test of this package that pins both.
	Property string
}

// The differences that [Tolerate] knows; a subject that shares one with the
// baseline is not held to this module's side of it.
const (
	ListOrder        = "list-order"
	MemoryBeforeSave = "memory-before-save"
	IdenticalWrite   = "identical-write"
	UnknownMembers   = "unknown-members"
	UncheckedEntries = "unchecked-entries"
	LenientFile      = "lenient-file"
	TextChecks       = "text-checks"
)

// Differences lists them all. TestDifferences has one subtest for each.
var Differences = []Difference{
	{ListOrder,
		"List is in the order of a Go map: another one each time",
		"List is sorted by name, in bytes", ""},
	{"live-pointers",
		"Get and List hand out pointers into the live map: a caller can change the registry without a write",
		"values come out by value: no caller reaches into what others see", ""},
	{MemoryBeforeSave,
		"memory is changed before the save, and stays changed if that fails",
		"a write that fails changes nothing, in memory or on disk", ""},
	{"revisions",
		"none: the file has no number, and a writer cannot say what it has seen",
		"every applied write is one revision; IfRevision, transactions and Latest rest on it", ""},
	{IdenticalWrite,
		"writing what is there already rewrites the file",
		"writing what is there already leaves the file alone, and returns the revision it is at", ""},
	{UnknownMembers,
		"members that it does not know, of the file and of a machine, are dropped by the next write",
		"they survive every rewrite byte for byte", ""},
	{UncheckedEntries,
		"entries found in the file are not checked: an ssh machine without a host is served",
		"an entry that cannot be used is quarantined: not served, reported, kept in the file", ""},
	{LenientFile,
		"any version, the last of two equal names, and invalid UTF-8 are accepted, and the rest is lost with the next write",
		"such a file is ErrCorrupt with line and column, and is never overwritten", ""},
	{"deleted-file",
		"a deleted file comes back at the next write, with what that handle happened to remember",
		"a file that was there and is gone is ErrMissing until it is put back or the registry is opened again", ""},
	{TextChecks,
		"a name, host or path may hold anything",
		"control characters, invalid UTF-8 and hosts that begin with \"-\" are refused", ""},
	{"other-writers",
		"Get and List see other processes' writes only after a write or a load of their own",
		"they arrive by themselves, and Latest sees all that were acknowledged", ""},
	{"temporary-file",
		"one temporary name, FILE.tmp, which is taken by whatever is there; mode and symbolic links are not kept",
		"a new temporary name each time; mode and owner are kept, and a link is followed to the file it names", ""},
	{"published-lock",
		"the published lock polls and deletes its file after each unlock: two processes can hold it, and acknowledged updates are lost",
		"the lock is handed over by the kernel and compared with its path: none is lost", ""},
}

func init() {
	for i := range Differences {
		Differences[i].Property = "TestDifferences/" + Differences[i].Name
	}
}
