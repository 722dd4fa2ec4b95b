package conformance

import (
	"context"
	"path/filepath"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// T is what Run needs of a *testing.T. This package does not import testing, so that the command does not either.
type T interface {
	Helper()
	Context() context.Context
	Cleanup(f func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Run checks p as a part of a Go test: each failed check is an error of t, each skipped one is logged with its reason.
func Run(t T, p Plugin, o Options) *Report {
	t.Helper()
	if o.Level >= Lifecycle && o.App == "" {
		o.App = filepath.Join(scratch(t), testapp.Name)
		if err := compile(o.App, "github.com/rkt/rkt/v2/sdk/conformance/internal/testapp/cmd/"+testapp.Name); err != nil {
			t.Fatalf("build the program in the pods: %v", err)
		}
	}
	r, err := Check(t.Context(), p, o)
	if err != nil {
		t.Fatalf("check plugin %s: %v", p.Dir, err)
	}
	for _, res := range r.Results {
		switch res.Outcome {
		case Fail:
			t.Errorf("%s", res.Line())
		case Skip:
			t.Logf("%s", res.Line())
		}
	}
	t.Logf("%s", r.Summary())
	return r
}
