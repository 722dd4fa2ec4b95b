package suite

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Check is one demand of the contract.
type Check struct {
	// ID is quoted in the comment that makes the demand (proto/rkt, proto/launch, proto/manifest, proto/poddir).
	ID    string
	Title string // what holds when it passes, a short clause
	Level Level
	// Service that the plugin must provide for the check to be about it; empty: every plugin.
	Service string
	// Capability of that service that the check is about; a plugin that does not claim it is skipped.
	Capability string
	// Limit is when the check is given up; 2 minutes when 0.
	Limit time.Duration
	// Run returns nil when the demand is met, a Skip, or what is wrong in one line.
	Run func(ctx context.Context, e *Env) error
}

const defaultLimit = 2 * time.Minute

// skip is an error that is no failure.
type skip struct{ why string }

func (s *skip) Error() string { return s.why }

// Skip says why a check says nothing about this plugin on this host.
func Skip(format string, args ...any) error { return &skip{fmt.Sprintf(format, args...)} }

// skipped returns the reason of a skip.
func skipped(err error) (string, bool) {
	var s *skip
	ok := errors.As(err, &s)
	if !ok {
		return "", false
	}
	return s.why, true
}
