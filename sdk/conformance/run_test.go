package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/broken"
)

// deaf is a T that keeps what a test would say.
type deaf struct {
	t    *testing.T
	said []string
}

func (d *deaf) Helper()                      {}
func (d *deaf) Context() context.Context     { return d.t.Context() }
func (d *deaf) Cleanup(f func())             { d.t.Cleanup(f) }
func (d *deaf) Logf(string, ...any)          {}
func (d *deaf) Fatalf(f string, args ...any) { d.t.Fatalf(f, args...) }
func (d *deaf) Errorf(f string, args ...any) { d.said = append(d.said, fmt.Sprintf(f, args...)) }

// TestUnfetched: a fetcher's test that fetches nothing is not green.
func TestUnfetched(t *testing.T) {
	m := broken.Manifest("fetcher", broken.None)
	m.Provides[0].Schemes = []string{"raw"} // else the kit has a registry for it
	dir := filepath.Join(scratch(t), m.Name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	(&bench{}).write(t, dir, m)
	if err := compile(filepath.Join(dir, m.Exec), "./internal/broken/cmd/rkt-broken"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		unfetched bool
		errors    int
	}{{false, 1}, {true, 0}} {
		d := &deaf{t: t}
		Run(d, Plugin{Dir: dir}, Options{Level: Protocol, Only: []string{"FE-FETCH-01"}, Unfetched: c.unfetched})
		if len(d.said) != c.errors || c.errors > 0 && !strings.Contains(d.said[0], "nothing was fetched") {
			t.Errorf("unfetched %v: %q", c.unfetched, d.said)
		}
	}
}
