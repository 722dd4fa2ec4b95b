package suite

import (
	"fmt"
	"strconv"
)

// Level is how much a check wants of the machine that it runs on.
type Level int

// The levels. Each includes those before it.
const (
	Static    Level = iota // looks at files alone
	Protocol               // runs the plugin; no privilege is needed
	Lifecycle              // root: pods and networks come and go
	Isolation              // root: what a pod must not see or do, by flavor
)

func names() []string { return []string{"static", "protocol", "lifecycle", "isolation"} }

func (l Level) String() string {
	if l < Static || l > Isolation {
		return "level " + strconv.Itoa(int(l))
	}
	return names()[l]
}

// ParseLevel reads a number or a name.
func ParseLevel(s string) (Level, error) {
	for i, name := range names() {
		if s == name || s == strconv.Itoa(i) {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("parse level %q: want 0 to 3, static, protocol, lifecycle or isolation", s)
}
