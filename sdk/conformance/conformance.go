package conformance

import (
	"context"
	"slices"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/checks/fetcher"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/checks/network"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/checks/protocol"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/checks/stage1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/checks/static"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/checks/verifier"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/report"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// Plugin is what is tested: its directory, and what the kit cannot know of it.
type Plugin = suite.Plugin

// Signed is an image with signatures, for a verifier of formats that the kit cannot make.
type Signed = suite.Signed

// Options choose what is run.
type Options = suite.Options

// Report is what was found. It writes itself as text, JSON and JUnit's XML.
type Report = report.Report

// Result is one check's.
type Result = report.Result

// Outcome of one check.
type Outcome = report.Outcome

// The outcomes.
const (
	Pass = report.Pass
	Fail = report.Fail
	Skip = report.Skip
)

// Level is how much a check wants of the machine that it runs on.
type Level = suite.Level

// The levels. Each includes those before it.
const (
	Static    = suite.Static
	Protocol  = suite.Protocol
	Lifecycle = suite.Lifecycle
	Isolation = suite.Isolation
)

// ParseLevel reads a number from 0 to 3 or a level's name.
func ParseLevel(s string) (Level, error) { return suite.ParseLevel(s) }

// Info describes a check.
type Info struct {
	ID         string
	Title      string // what holds when it passes
	Level      Level
	Service    string // of plugin.json; empty: every plugin
	Capability string
}

// checks are all of them, in the order in which they are run.
func checks() []suite.Check {
	return slices.Concat(static.Checks(), protocol.Checks(), fetcher.Checks(), verifier.Checks(), network.Checks(), stage1.Checks())
}

// List returns every check.
func List() []Info {
	var out []Info
	for _, c := range checks() {
		out = append(out, Info{ID: c.ID, Title: c.Title, Level: c.Level, Service: c.Service, Capability: c.Capability})
	}
	return out
}

// Check runs the chosen checks, one after the other. The error says that nothing could be run, or that ctx ended; what
// the checks found is in the report alone.
func Check(ctx context.Context, p Plugin, o Options) (*Report, error) {
	return suite.Run(ctx, p, checks(), o)
}
