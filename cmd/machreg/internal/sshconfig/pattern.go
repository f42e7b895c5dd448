package sshconfig

import "strings"

// isWildcard reports whether a pattern of a Host line stands for other than the
// one alias it spells.
func isWildcard(pattern string) bool {
	return strings.HasPrefix(pattern, "!") || strings.ContainsAny(pattern, "*?")
}

// matchesAny reports whether a Host line with these patterns is for alias: at
// least one matches, and no negated one does.
func matchesAny(patterns []string, alias string) bool {
	found := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if matches(p, alias) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}

// matches is ssh's: * is any number of bytes and ? exactly one. Its time is the
// product of the lengths at worst.
func matches(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}
