package report

import (
	"fmt"
	"time"
)

// Schema is the version of the JSON form.
const Schema = 1

// Outcome of one check.
type Outcome string

// The outcomes. A skip is an ability that the plugin does not claim, or something that this host lacks.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Skip Outcome = "skip"
)

// Result is one check's.
type Result struct {
	ID      string        `json:"id"`
	Title   string        `json:"title"`
	Level   string        `json:"level"`
	Outcome Outcome       `json:"outcome"`
	Reason  string        `json:"reason,omitempty"` // of a failure or a skip, one line
	Took    time.Duration `json:"nanoseconds"`
}

// Report is a whole run.
type Report struct {
	Schema  int      `json:"schema"`
	Plugin  string   `json:"plugin"` // its name, or its directory's when plugin.json cannot be read
	Version string   `json:"version,omitempty"`
	Dir     string   `json:"dir"`
	Level   string   `json:"level"` // the highest that was asked for
	Seed    uint64   `json:"seed"`  // of the moments of kills and of unknown fields; the same seed makes them again
	Results []Result `json:"results"`
}

// Count returns how many checks had the outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Outcome == o {
			n++
		}
	}
	return n
}

// Failed returns the results of the checks that failed.
func (r *Report) Failed() []Result {
	var out []Result
	for _, res := range r.Results {
		if res.Outcome == Fail {
			out = append(out, res)
		}
	}
	return out
}

// Summary is one line.
func (r *Report) Summary() string {
	return fmt.Sprintf("%s %s: %d passed, %d failed, %d skipped (level %s, seed %d)",
		r.Plugin, r.Version, r.Count(Pass), r.Count(Fail), r.Count(Skip), r.Level, r.Seed)
}
