package page

// FaultWithoutAddress makes every access fault in the way of a system that does
// not report where.
func FaultWithoutAddress(m *Mapping) { m.words = nil }
