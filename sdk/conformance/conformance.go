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

// Report is what was found:
//
//	Schema  int      // of the JSON form: 1
//	Plugin  string   // its name, or its directory's when plugin.json cannot be read
//	Version string
//	Dir     string
//	Level   string   // the highest that was asked for
//	Seed    uint64   // of the random moments
//	Results []Result
//
// Text, JSON and JUnit write it to an io.Writer, Summary is one line, Count the number of results of an Outcome, Failed the
// results that failed.
type Report = report.Report

// Result is one check's:
//
//	ID, Title string
//	Level     string
//	Outcome   Outcome
//	Reason    string        // of a failure or a skip, one line
//	Took      time.Duration
//
// Line is all of it but Took as text.
type Result = report.Result

// Outcome of one check, a word: "pass", "fail" or "skip".
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

// Check runs the chosen checks, one after the other. The error says that nothing could be run, such as a directory without
// plugin.json, a word of Options.Only that chooses no check, or a configuration that the plugin refuses; or that ctx
// ended. What the checks found is in the report alone.
func Check(ctx context.Context, p Plugin, o Options) (*Report, error) {
	return suite.Run(ctx, p.suite(), checks(), suite.Options(o))
}
