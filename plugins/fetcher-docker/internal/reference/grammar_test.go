package reference

import (
	"regexp"
	"testing"
)

// FuzzGrammar compares the hand-written checks with the spec's expressions.
func FuzzGrammar(f *testing.F) {
	checks := []struct {
		re *regexp.Regexp
		f  func(string) bool
	}{
		{regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\z`), validComponent},
		{regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\z`), validTag},
		{regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\z`), validLabel},
	}
	for _, s := range []string{"a", "a__b", "a___b", "a.b", "a..b", "a--b", "-a", "a-", "a._b", "A", "_x", ".x", "é", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range checks {
			if c.f(s) != c.re.MatchString(s) {
				t.Errorf("%q: %v, %s says otherwise", s, c.f(s), c.re)
			}
		}
	})
}
