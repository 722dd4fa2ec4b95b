package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/report"
)

func plugin(t *testing.T, text string) Plugin {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plugin.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Plugin{Dir: dir}
}

const good = `{"schema":1,"name":"x","version":"1.0.0","exec":"e","provides":[{"service":"rkt.network","protocols":[1],"capabilities":["a"]}]}`

func TestRun(t *testing.T) {
	var left string
	checks := []Check{
		{ID: "P-1", Level: Protocol, Run: func(_ context.Context, e *Env) (err error) {
			left, err = e.Dir()
			return err
		}},
		{ID: "P-2", Level: Protocol, Run: func(context.Context, *Env) error { return errors.New("two\nlines") }},
		{ID: "P-3", Level: Protocol, Run: func(context.Context, *Env) error { return fmt.Errorf("wrapped: %w", Skip("no %s", "moon")) }},
		{ID: "P-4", Level: Protocol, Run: func(context.Context, *Env) error { panic("oh") }},
		{ID: "P-5", Level: Protocol, Run: func(_ context.Context, e *Env) error {
			e.Defer(func() error { return errors.New("left something") })
			return nil
		}},
		{ID: "P-6", Level: Protocol, Service: "rkt.network", Capability: "a", Run: func(context.Context, *Env) error { return nil }},
		{ID: "P-7", Level: Protocol, Service: "rkt.network", Capability: "b", Run: func(context.Context, *Env) error { return nil }},
		{ID: "P-8", Level: Protocol, Service: "rkt.fetcher", Run: func(context.Context, *Env) error { return nil }},
		{ID: "P-9", Level: Lifecycle, Run: func(context.Context, *Env) error { return nil }},
	}
	r, err := Run(t.Context(), plugin(t, good), checks, Options{Level: Protocol, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		id, reason string
		o          report.Outcome
	}{
		{"P-1", "", report.Pass}, {"P-2", "two lines", report.Fail}, {"P-3", "no moon", report.Skip}, {"P-4", "kit panicked", report.Fail},
		{"P-5", "left something", report.Fail}, {"P-6", "", report.Pass}, {"P-7", `capability "b"`, report.Skip},
	}
	if len(r.Results) != len(want) {
		t.Fatalf("%+v", r.Results)
	}
	for i, w := range want {
		if got := r.Results[i]; got.ID != w.id || got.Outcome != w.o || !strings.Contains(got.Reason, w.reason) {
			t.Errorf("%+v, want %+v", got, w)
		}
	}
	if _, err := os.Stat(left); left == "" || err == nil {
		t.Errorf("%q is left", left)
	}
	if r.Seed != 7 || r.Plugin != "x" || r.Count(report.Fail) != 3 {
		t.Errorf("%s", r.Summary())
	}
}

func TestOnly(t *testing.T) {
	pass := func(context.Context, *Env) error { return nil }
	checks := []Check{{ID: "A-1", Run: pass}, {ID: "A-10", Run: pass}, {ID: "B-1", Run: pass},
		{ID: "B-2", Level: Lifecycle, Run: pass}, {ID: "F-1", Service: "rkt.fetcher", Run: pass}}
	for only, want := range map[string]int{"A-1": 1, "A-": 2, "B-": 1, "A-1 B-": 2} {
		r, err := Run(t.Context(), plugin(t, good), checks, Options{Only: strings.Fields(only)})
		if err != nil || len(r.Results) != want {
			t.Errorf("%s: %+v, %v, want %d", only, r, err, want)
		}
	}
	for _, c := range []struct{ only, manifest, want string }{
		{"A", good, "no check is called A; a group ends in -, as A-"},
		{"C-", good, "no check is called C-; a group ends in -, as FE-FETCH-"},
		{"A-1 NONSENSE", good, "no check is called NONSENSE; a group ends in -, as FE-FETCH-"},
		{"B-2", good, "B-2 is of level lifecycle, above level static of this run"},
		{"F-", good, "choose F-: F-1 is about plugins that provide rkt.fetcher, and x does not"},
		{"F-1", "{", "what this one provides is not known: parse plugin.json"},
	} {
		if _, err := Run(t.Context(), plugin(t, c.manifest), checks, Options{Only: strings.Fields(c.only)}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.only, err, c.want)
		}
	}
}

// A plugin whose plugin.json cannot be read is told so once, by every check that would run it.
func TestNoManifest(t *testing.T) {
	checks := []Check{
		{ID: "S-1", Level: Static, Run: func(_ context.Context, e *Env) error {
			if e.Manifest != nil {
				return errors.New("a manifest")
			}
			return nil
		}},
		{ID: "P-1", Level: Protocol, Run: func(context.Context, *Env) error { return nil }},
	}
	r, err := Run(t.Context(), plugin(t, "{"), checks, Options{Level: Protocol})
	if err != nil || r.Count(report.Fail) != 1 || r.Results[1].Outcome != report.Fail {
		t.Errorf("%+v, %v", r, err)
	}
	for dir, want := range map[string]string{"/none": "not a directory", t.TempDir(): "no plugin.json in it (the built directory is meant, as dist/NAME)"} {
		if _, err := Run(t.Context(), Plugin{Dir: dir}, checks, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
}

// The moments of a check depend on the seed and on the check, not on what else is run.
func TestSeed(t *testing.T) {
	moments := func(seed uint64, ids ...string) map[string]uint64 {
		out := map[string]uint64{}
		var checks []Check
		for _, id := range ids {
			checks = append(checks, Check{ID: id, Run: func(_ context.Context, e *Env) error { out[id] = e.Rand.Uint64(); return nil }})
		}
		if _, err := Run(t.Context(), plugin(t, good), checks, Options{Seed: seed}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	a, b, c := moments(1, "X", "Y"), moments(1, "Y"), moments(2, "Y")
	if a["Y"] != b["Y"] || a["X"] == a["Y"] || b["Y"] == c["Y"] {
		t.Errorf("%v, %v, %v", a, b, c)
	}
}

func TestParseLevel(t *testing.T) {
	for s, want := range map[string]Level{"0": Static, "isolation": Isolation, "2": Lifecycle, "protocol": Protocol} {
		if got, err := ParseLevel(s); got != want || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "4", "-1", "Static"} {
		if got, err := ParseLevel(s); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}
