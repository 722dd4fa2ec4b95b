package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/broken"
)

// TestOwnScheme: of a fetcher without scheme docker the vendor's references show what they can.
func TestOwnScheme(t *testing.T) {
	b := newBench(t)
	only := []string{"FE-FETCH-06", "FE-FETCH-11", "FE-FETCH-12"}
	for fault, fails := range map[string][]string{
		broken.None: nil, "is-confused-by-partial-files": {"FE-FETCH-06"}, "deaf": {"FE-FETCH-11"}, "hogs-memory": {"FE-FETCH-12"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			p := b.plugin(t, "fetcher", fault)
			m := broken.Manifest("fetcher", fault)
			m.Provides[0].Schemes = []string{"raw"}
			b.write(t, p.Dir, m)
			r, err := Check(t.Context(), p, Options{Level: Protocol, Only: only})
			if err != nil {
				t.Fatal(err)
			}
			for _, res := range r.Results {
				want := Pass
				if slices.Contains(fails, res.ID) {
					want = Fail
				}
				if res.Outcome != want {
					t.Errorf("%s, want %s", res.Line(), want)
				}
			}
		})
	}
}

// TestNothingLeft: a plugin with root's power that makes each directory that a call about nothing names, and then ends,
// passes, since there is none that can be made; and the kit leaves nothing of its own.
func TestNothingLeft(t *testing.T) {
	b := newBench(t)
	tmp := scratch(t)
	t.Setenv("TMPDIR", tmp)
	for _, kind := range []string{"network", "stage1", "fetcher"} {
		Run(t, b.plugin(t, kind, "makes-any-directory"), Options{Level: Protocol, Only: []string{"PL-"}, Impatient: true})
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestConfigurations: one that is wanted, and one that is refused, is said in words, and the latter once.
func TestConfigurations(t *testing.T) {
	b := newBench(t)
	const fault = "wants-a-configuration"
	p := b.plugin(t, "verifier", fault)
	m := broken.Manifest("verifier", fault)
	m.ConfigSchema = manifest.SchemaFileName
	b.write(t, p.Dir, m)
	if err := os.WriteFile(filepath.Join(p.Dir, m.ConfigSchema), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{Level: Protocol, Only: []string{"PL-CONF-02", "PL-CONF-03", "PL-WIRE-01"}}
	r, err := Check(t.Context(), p, o)
	if err != nil || r.Count(Fail) != len(o.Only) {
		t.Fatalf("%+v, %v", r, err)
	}
	const want = "CONFIG_INVALID: no word was given; plugin.json names a config_schema and no configuration was given (--config)"
	for _, res := range r.Results {
		if !strings.HasSuffix(res.Reason, want) || strings.Contains(res.Reason, "rpc error") {
			t.Errorf("%s, want %q", res.Line(), want)
		}
	}
	p.Config = []byte(`{"a": "word"}`)
	if r, err := Check(t.Context(), p, o); err != nil || r.Count(Pass) != len(o.Only) {
		t.Errorf("%+v, %v", r, err)
	}
	p.Config = []byte("[]")
	if r, err := Check(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "it refuses the given configuration: CONFIG_INVALID: no object of words") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Check(t.Context(), p, Options{}); err != nil {
		t.Errorf("nothing is run at level static, and %v", err)
	}
}
