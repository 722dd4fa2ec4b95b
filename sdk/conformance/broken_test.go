package conformance

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/broken"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// bench is the broken plugins' program, built once, and where their directories are made.
type bench struct {
	base, exe, app string
	raw            string // a raw image
}

func newBench(t *testing.T) *bench {
	t.Helper()
	base := scratch(t)
	b := &bench{base: base, exe: filepath.Join(base, "rkt-broken"), app: filepath.Join(base, testapp.Name), raw: filepath.Join(base, "image.raw")}
	for out, pkg := range map[string]string{b.exe: "./internal/broken/cmd/rkt-broken", b.app: "./internal/testapp/cmd/rkt-conformance-app"} {
		if err := compile(out, pkg); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.raw, []byte("RAW1"+strings.Repeat("data", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	return b
}

// plugin makes the directory of a plugin with a fault.
func (b *bench) plugin(t *testing.T, kind, fault string) Plugin {
	t.Helper()
	m := broken.Manifest(kind, fault)
	dir := filepath.Join(b.base, m.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.write(t, dir, m)
	if err := os.Link(b.exe, filepath.Join(dir, m.Exec)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	p := Plugin{Dir: dir}
	if kind == "fetcher" {
		p.References, p.Missing = []string{"raw://" + b.raw}, []string{"raw://" + b.raw + ".none"}
	}
	return p
}

func (b *bench) write(t *testing.T, dir string, m *manifest.Manifest) {
	t.Helper()
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, manifest.FileName), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) options() Options {
	return Options{Level: Isolation, App: b.app, Impatient: true}
}

// TestSound: without a fault the plugins from scratch pass, so that what fails with one fails of it.
func TestSound(t *testing.T) {
	b := newBench(t)
	for _, kind := range []string{"fetcher", "verifier", "network", "stage1"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := b.options()
			o.Impatient = false
			if kind == "stage1" || kind == "network" {
				o.Level = Lifecycle // a chroot isolates nothing, and no port is published
			}
			Run(t, b.plugin(t, kind, broken.None), o)
		})
	}
}

// TestFaults: each fault is found, by the checks that are meant to find it and by no other of those that are run.
func TestFaults(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: many faults are those of pods and networks")
	}
	b := newBench(t)
	for _, f := range broken.Faults() {
		t.Run(f.Kind+" "+f.Name, func(t *testing.T) {
			t.Parallel()
			o := b.options()
			o.Only = f.Only
			tries := 1
			if f.Chance {
				tries = 5
			}
			expect(t, b.plugin(t, f.Kind, f.Name), o, f.Fails, tries)
		})
	}
	for name, f := range fileFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := *b // a directory of its own, because the name of a plugin's says nothing here
			own.base = filepath.Join(b.base, "file "+name)
			p := own.plugin(t, "verifier", broken.None)
			f.spoil(t, &p)
			expect(t, p, Options{Level: Static}, []string{f.fails}, 1)
		})
	}
}

// TestEveryCheckCanFail: TestFaults makes sure that each fault is found by the checks that it names; here it is made sure
// that there is one for each check.
func TestEveryCheckCanFail(t *testing.T) {
	found := map[string]bool{}
	for _, f := range broken.Faults() {
		for _, id := range f.Fails {
			found[id] = true
		}
	}
	for _, f := range fileFaults() {
		found[f.fails] = true
	}
	for _, c := range List() {
		if !found[c.ID] {
			t.Errorf("%s (%s) is failed by no fault", c.ID, c.Title)
		}
		delete(found, c.ID)
	}
	for id := range found {
		t.Errorf("a fault is said to be found by %s, which is no check", id)
	}
}

// expect holds what fails against what should, in so many tries: what fails and should not is never forgiven.
func expect(t *testing.T, p Plugin, o Options, fails []string, tries int) {
	t.Helper()
	var got []string
	for range tries {
		r, err := Check(t.Context(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range r.Failed() {
			got = append(got, res.ID)
			if !slices.Contains(fails, res.ID) {
				t.Errorf("%s", res.Line())
			}
		}
		missed := slices.DeleteFunc(slices.Clone(fails), func(id string) bool { return slices.Contains(got, id) })
		if len(missed) == 0 || t.Failed() {
			return
		}
		t.Logf("%v did not fail; of %d checks these did: %v (seed %d)", missed, len(r.Results), got, r.Seed)
	}
	t.Errorf("%v: not found in %d runs", fails, tries)
}

type fileFault struct {
	fails string
	spoil func(t *testing.T, p *Plugin)
}

// fileFaults are made in a plugin's directory.
func fileFaults() map[string]fileFault {
	exe := func(p *Plugin) string { return filepath.Join(p.Dir, "rkt-"+filepath.Base(p.Dir)) }
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	change := func(how func(m *manifest.Manifest)) func(t *testing.T, p *Plugin) {
		return func(t *testing.T, p *Plugin) {
			m := broken.Manifest("verifier", broken.None)
			how(m)
			(&bench{}).write(t, p.Dir, m)
		}
	}
	// replace puts other bytes in the binary's place: it is a link to that of all.
	replace := func(b []byte) func(t *testing.T, p *Plugin) {
		return func(t *testing.T, p *Plugin) {
			must(t, os.Remove(exe(p)))
			must(t, os.WriteFile(exe(p), b, 0o755))
		}
	}
	chmod := func(mode fs.FileMode) func(t *testing.T, p *Plugin) {
		return func(t *testing.T, p *Plugin) {
			b, err := os.ReadFile(exe(p))
			must(t, err)
			replace(b)(t, p)
			must(t, os.Chmod(exe(p), mode))
		}
	}
	return map[string]fileFault{
		"later schema": {"PL-FILE-01", change(func(m *manifest.Manifest) { m.Schema = 2 })},
		"other directory": {"PL-FILE-02", func(t *testing.T, p *Plugin) {
			to := p.Dir + "-2"
			must(t, os.Rename(p.Dir, to))
			p.Dir = to
		}},
		"missing program":     {"PL-FILE-03", change(func(m *manifest.Manifest) { m.Programs = []string{"none"} })},
		"no program":          {"PL-FILE-04", replace([]byte("#!sh\n"))},
		"another machine":     {"PL-FILE-04", foreign},
		"dynamic linker":      {"PL-FILE-05", dynamic},
		"setuid":              {"PL-FILE-06", chmod(0o755 | fs.ModeSetuid)},
		"writable by a group": {"PL-FILE-07", chmod(0o775)},
		"schema writable by all": {"PL-FILE-07", func(t *testing.T, p *Plugin) {
			change(func(m *manifest.Manifest) { m.ConfigSchema = manifest.SchemaFileName })(t, p)
			path := filepath.Join(p.Dir, manifest.SchemaFileName)
			must(t, os.WriteFile(path, []byte("{}"), 0o644))
			must(t, os.Chmod(path, 0o666)) // whatever the umask is
		}},
		"no media types": {"PL-FILE-08", change(func(m *manifest.Manifest) { m.Provides[0].MediaTypes = nil })},
		"version of two": {"PL-FILE-09", change(func(m *manifest.Manifest) { m.Version = "1.2" })},
		"schema is no JSON": {"PL-FILE-10", func(t *testing.T, p *Plugin) {
			change(func(m *manifest.Manifest) { m.ConfigSchema = "config.json" })(t, p)
			must(t, os.WriteFile(filepath.Join(p.Dir, "config.json"), []byte("none"), 0o644))
		}},
	}
}

// foreign changes the machine in the binary's head.
func foreign(t *testing.T, p *Plugin) {
	exe := filepath.Join(p.Dir, "rkt-"+filepath.Base(p.Dir))
	b, err := os.ReadFile(exe)
	if err == nil {
		b[18], b[19] = 8, 0 // EM_MIPS
		err = os.Remove(exe)
	}
	if err == nil {
		err = os.WriteFile(exe, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dynamic puts a program of the host in the binary's place.
func dynamic(t *testing.T, p *Plugin) {
	exe := filepath.Join(p.Dir, "rkt-"+filepath.Base(p.Dir))
	b, err := os.ReadFile("/bin/sh")
	if err == nil {
		err = os.Remove(exe)
	}
	if err == nil {
		err = os.WriteFile(exe, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
