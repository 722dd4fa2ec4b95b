// Package pattern compiles regular expressions when they are first used. Every rkt command links all packages, and
// a run executes rkt twice: compiled at init, the expressions of core cost each start a millisecond.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression that is not compiled yet.
type Pattern struct {
	expr string
	once sync.Once
	re   *regexp.Regexp
}

// New takes an expression; a wrong one panics at its first use.
func New(expr string) *Pattern { return &Pattern{expr: expr} }

// MatchString is regexp.Regexp's.
func (p *Pattern) MatchString(s string) bool {
	p.once.Do(func() { p.re = regexp.MustCompile(p.expr) })
	return p.re.MatchString(s)
}

// FindStringSubmatch is regexp.Regexp's.
func (p *Pattern) FindStringSubmatch(s string) []string {
	p.once.Do(func() { p.re = regexp.MustCompile(p.expr) })
	return p.re.FindStringSubmatch(s)
}
