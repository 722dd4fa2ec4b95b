package image

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkText refuses what must never reach a terminal, a file name or a log line as part of a name.
func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > maxName:
		return fmt.Errorf("it has more than %d bytes", maxName)
	case !utf8.ValidString(s):
		return errors.New("it is not valid UTF-8")
	}
	for _, c := range s {
		if !unicode.IsGraphic(c) || (unicode.IsSpace(c) && c != ' ') {
			return fmt.Errorf("it holds the character %q", c)
		}
	}
	return nil
}

// Printable returns text from an image (a name, an annotation, an entry of an archive) with everything
// replaced that could move a cursor, hide other text or reorder it.
func Printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return '\uFFFD'
		}
		return c
	}, s)
}

// shorten keeps an error message readable when the name is a megabyte.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
