package trust

import (
	"fmt"

	"strings"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

// Root is the prefix of keys that count for every name. It can never be the beginning of a name.
const Root = "*"

// componentRE holds what both appc identifiers and registry names with a port are made of. No component may
// start with a dot: "..", and the temporary files of an unfinished write, are out of reach with that.
var componentRE = pattern.New(`^[A-Za-z0-9_~\[][A-Za-z0-9._~:@+\[\]-]*$`)

var loopbackRE = pattern.New(`^(localhost|127(?:\.[0-9]{1,3}){3}):[0-9]{1,5}$`)

// CheckPrefix says why s cannot be a prefix that keys are trusted for, or nil.
func CheckPrefix(s string) error {
	if s == Root {
		return nil
	}
	_, err := components(s)
	return err
}

// normal is the prefix as the tree has it. The prefix has been checked.
func normal(prefix string) string {
	if prefix == Root {
		return Root
	}
	parts, err := components(prefix)
	if err != nil {
		return prefix
	}
	return strings.Join(parts, "/")
}

// components splits a name into the directories that stand for it. What it lets through is safe as a path
// below prefix.d.
func components(name string) ([]string, error) {
	if scheme, _, ok := strings.Cut(name, "://"); ok {
		return nil, fmt.Errorf("prefix %q: give it without %q, as the name begins: example.com/app", name, scheme+"://")
	}
	if name == "" {
		return nil, fmt.Errorf("prefix is empty: give the beginning of the image names, for example example.com/app")
	}
	if len(name) > 1024 {
		return nil, fmt.Errorf("prefix of %d bytes is longer than 1024", len(name))
	}
	parts := strings.Split(name, "/")
	// A port on loopback is where a developer's server happens to listen. The name inside an appc image has none,
	// and whoever is root decides by key, not by port.
	if m := loopbackRE.FindStringSubmatch(parts[0]); m != nil {
		parts[0] = m[1]
	}
	for _, p := range parts {
		switch {
		case len(p) > 200 || !componentRE.MatchString(p):
			return nil, fmt.Errorf("prefix %q: component %q is not of letters, digits and . _ ~ : @ + -", name, p)
		case fingerprintRE.MatchString(p):
			// It would be a directory where a key file is looked for.
			return nil, fmt.Errorf("prefix %q: component %q looks like the fingerprint of a key", name, p)
		}
	}
	return parts, nil
}
