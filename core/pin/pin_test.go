package pin

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/core/plugin"
)

const manifestJSON = `{"schema":1,"name":"stage1-x","version":"1.0.0","exec":"rkt-stage1-x","programs":["super"],
"provides":[{"service":"rkt.stage1","protocols":[1],"flavor":"x"}]}`

// source is below a temporary directory, which others may write to; so the pins are told not to mind.
func setup(t testing.TB) (*Pins, *plugin.Entry) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "stage1-x")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"plugin.json": manifestJSON, "rkt-stage1-x": "\x7fELF one", "super": "two", "README": "not part of it"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e, err := plugin.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := Open(filepath.Join(t.TempDir(), "pins"))
	p.Insecure = true
	return p, e
}

func mustPin(t testing.TB, p *Pins, e *plugin.Entry) string {
	t.Helper()
	d, err := p.Pin(e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPin(t *testing.T) {
	p, e := setup(t)
	d := mustPin(t, p, e)
	got, err := p.Entry(d)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "stage1-x" || got.Dir != filepath.Join(p.dir, d) {
		t.Errorf("%+v", got)
	}
	names, _ := os.ReadDir(got.Dir)
	if len(names) != 3 {
		t.Errorf("copied %v", names)
	}
	for _, n := range names {
		fi, _ := n.Info()
		if fi.Mode() != 0o555 {
			t.Errorf("%s has mode %v", n.Name(), fi.Mode())
		}
	}
	if err := plugin.Check(got, os.Geteuid(), false); err != nil {
		t.Errorf("the copy is not trusted: %v", err)
	}
	if again := mustPin(t, p, e); again != d {
		t.Errorf("pinned as %s, then as %s", d, again)
	}
	if again := mustPin(t, p, got); again != d {
		t.Errorf("the pin is pinned as %s", again)
	}
	// The plugin is upgraded: the old copy stays, the new one is another.
	if err := os.WriteFile(filepath.Join(e.Dir, "super"), []byte("TWO"), 0o755); err != nil {
		t.Fatal(err)
	}
	if d2 := mustPin(t, p, e); d2 == d {
		t.Error("another program has the same digest")
	}
	// And removed.
	if err := os.RemoveAll(e.Dir); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Entry(d); err != nil {
		t.Error(err)
	}
}

func TestIndex(t *testing.T) {
	p, e := setup(t)
	time.Sleep(settled) // files as young as this are hashed again
	d := mustPin(t, p, e)
	idx := p.indexFile(e.Dir)
	if _, err := os.Stat(idx); err != nil {
		t.Fatal(err)
	}
	// What is found through the index is not hashed: an index that lies is believed while the pin it names
	// exists, and only then.
	lie := strings.Repeat("a", 64)
	b, _ := os.ReadFile(idx)
	if err := os.WriteFile(idx, []byte(strings.Replace(string(b), d, lie, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := mustPin(t, p, e); got != d {
		t.Errorf("believed in a pin that is not there: %s", got)
	}
	if err := os.WriteFile(idx, []byte("{broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := mustPin(t, p, e); got != d {
		t.Errorf("%s", got)
	}
}

func TestRefused(t *testing.T) {
	p, e := setup(t)
	p.Insecure = false
	if os.Geteuid() == 0 {
		if _, err := p.Pin(e); !errors.Is(err, plugin.ErrRefused) {
			t.Errorf("pinned from a directory that others write to: %v", err)
		}
	}
	p.Insecure = true
	if err := os.Chmod(filepath.Join(e.Dir, "super"), fs.ModeSetuid|0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pin(e); !errors.Is(err, plugin.ErrRefused) {
		t.Errorf("pinned a setuid program: %v", err)
	}
	os.Remove(filepath.Join(e.Dir, "super"))
	if err := os.Symlink("/bin/true", filepath.Join(e.Dir, "super")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pin(e); !errors.Is(err, plugin.ErrRefused) {
		t.Errorf("pinned through a link: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(p.dir, tmpPrefix+"*"))
	if len(left) > 0 {
		t.Errorf("left %v", left)
	}
	for _, d := range []string{"", "..", "../../etc", strings.Repeat("A", 64), strings.Repeat("a", 64)} {
		if _, err := p.Entry(d); err == nil {
			t.Errorf("opened %q", d)
		}
	}
}

// The manifest that discovery read is not the one that is pinned.
func TestReplacedMeanwhile(t *testing.T) {
	p, e := setup(t)
	next := strings.Replace(manifestJSON, "1.0.0", "2.0.0", 1)
	if err := os.WriteFile(filepath.Join(e.Dir, "plugin.json"), []byte(next), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Pin(e); err == nil || !strings.Contains(err.Error(), "try again") {
		t.Error(err)
	}
}

func TestRemoveUnused(t *testing.T) {
	p, e := setup(t)
	if err := p.RemoveUnused(nil); err != nil {
		t.Fatal(err)
	}
	a := mustPin(t, p, e)
	if err := os.WriteFile(filepath.Join(e.Dir, "super"), []byte("TWO"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := mustPin(t, p, e)
	stale := filepath.Join(p.dir, tmpPrefix+"1", "sub")
	if err := os.MkdirAll(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveUnused(nil); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{a, b} { // just asked for
		if _, err := p.Entry(d); err != nil {
			t.Error(err)
		}
	}
	p.grace = 0
	if err := p.RemoveUnused(map[string]bool{b: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Entry(a); !errors.Is(err, ErrMissing) {
		t.Errorf("unused pin: %v", err)
	}
	if _, err := p.Entry(b); err != nil {
		t.Error(err)
	}
	names, _ := os.ReadDir(p.dir)
	for _, n := range names {
		if n.Name() != b && n.Name() != indexDir {
			t.Errorf("left %s", n.Name())
		}
	}
	if err := p.RemoveUnused(nil); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(filepath.Join(p.dir, indexDir)); len(left) > 0 {
		t.Errorf("left in the index: %v", left)
	}
}

func TestManyAtOnce(t *testing.T) {
	p, e := setup(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				d, err := p.Pin(e)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := p.Entry(d); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if err := p.RemoveUnused(nil); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	names, _ := os.ReadDir(p.dir)
	for _, n := range names {
		if strings.HasPrefix(n.Name(), tmpPrefix) {
			t.Errorf("left %s", n.Name())
		}
	}
}

func BenchmarkPinAgain(b *testing.B) {
	p, e := setup(b)
	time.Sleep(settled)
	mustPin(b, p, e)
	for b.Loop() {
		mustPin(b, p, e)
	}
}
