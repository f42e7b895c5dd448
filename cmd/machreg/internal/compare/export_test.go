package compare

// Judge is judge on journals as they stand in files: notes holds one journal's
// lines, file the number that each key there has at the end.
func Judge(keys int, notes []string, file map[int]uint64) (acknowledged, lost uint64, err error) {
	h, err := historyOf(notes)
	a := judge(keys, h, file)
	return a.Acknowledged, a.Lost, err
}

func historyOf(notes []string) (history, error) {
	h := make(history)
	for _, line := range notes {
		if err := h.add(line); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Stale is the staleness of a read at a time, in nanoseconds.
func Stale(notes []string, number uint64, there bool, at int64) (int64, error) {
	h, err := historyOf(notes)
	return int64(h.staleness(sample{Key: 0, Number: number, There: there, At: at})), err
}
