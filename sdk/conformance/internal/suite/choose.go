package suite

import (
	"fmt"
	"strings"

	"github.com/rkt/rkt/v2/proto/manifest"
)

// choose returns the checks to run: those up to the level, of the kinds that the plugin is of, and of these the ones that
// o.Only names. A word of o.Only by which nothing is run is an error, since a run of nothing looks like a good one.
func choose(checks []Check, o Options, m *manifest.Manifest, merr error) ([]*Check, error) {
	only := map[string]bool{} // IDs
	for _, word := range o.Only {
		var why error
		found := false
		for i := range checks {
			c := &checks[i]
			if !named(c, word) {
				continue
			}
			err := apart(c, o, m, merr)
			if err == nil {
				only[c.ID], found = true, true
			} else if why == nil {
				why = err
			}
		}
		switch {
		case found:
		case why != nil && !strings.HasSuffix(word, "-"):
			return nil, why // which names it
		case why != nil:
			return nil, fmt.Errorf("choose %s: %w", word, why)
		default:
			return nil, unknown(checks, word)
		}
	}
	var out []*Check
	for i := range checks {
		c := &checks[i]
		if apart(c, o, m, merr) == nil && (len(o.Only) == 0 || only[c.ID]) {
			out = append(out, c)
		}
	}
	return out, nil
}

// named says whether a word of Options.Only is about a check.
func named(c *Check, word string) bool {
	return word == c.ID || strings.HasSuffix(word, "-") && strings.HasPrefix(c.ID, word)
}

// apart says why a check is no part of a run: a check of a kind that the plugin is not of says nothing about it.
func apart(c *Check, o Options, m *manifest.Manifest, merr error) error {
	switch {
	case c.Service != "" && m == nil:
		return fmt.Errorf("%s is about plugins that provide %s, and what this one provides is not known: %w", c.ID, c.Service, merr)
	case c.Service != "" && m.Provision(c.Service) == nil:
		return fmt.Errorf("%s is about plugins that provide %s, and %s does not", c.ID, c.Service, m.Name)
	case c.Level > o.Level:
		return fmt.Errorf("%s is of level %s, above level %s of this run", c.ID, c.Level, o.Level)
	}
	return nil
}

func unknown(checks []Check, word string) error {
	group := "FE-FETCH-"
	for i := range checks {
		if named(&checks[i], word+"-") {
			group = word + "-"
		}
	}
	return fmt.Errorf("no check is called %s; a group ends in -, as %s", word, group)
}
