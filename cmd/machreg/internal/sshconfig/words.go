package sshconfig

import (
	"errors"
	"strings"
)

// splitLine splits a line of a configuration into its keyword, in lower case,
// and its arguments, as ssh does: the keyword may be followed by one "=",
// arguments may be quoted, and a word that begins with # ends the line.
func splitLine(line string) (keyword string, args []string, err error) {
	line = strings.Trim(line, " \t\r\f")
	if line == "" || line[0] == '#' {
		return "", nil, nil
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), nil, nil
	}
	keyword, line = strings.ToLower(line[:end]), line[end:]
	line = strings.TrimLeft(line, " \t")
	line = strings.TrimPrefix(line, "=")
	args, err = splitWords(line)
	return keyword, args, err
}

func splitWords(s string) (words []string, err error) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return words, nil
		}
		var word string
		if word, s, err = cutWord(s); err != nil {
			return nil, err
		}
		words = append(words, word)
	}
}

// cutWord takes one word off s. A backslash escapes quotes and itself and,
// outside quotes, a space; before anything else it is an ordinary character.
func cutWord(s string) (word, rest string, err error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
			i++
			b.WriteByte(s[i])
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), s[i:], nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote is not closed")
	}
	return b.String(), "", nil
}

// Quote is s as one argument of a configuration.
func Quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\"'\\#=") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
