package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/core/config"
	"github.com/rkt/rkt/v2/core/lock"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
)

const stage1JSON = `{"schema":1,"name":"stage1-x","version":"1.0.0","exec":"rkt-stage1-x",
"provides":[{"service":"rkt.stage1","protocols":[1],"flavor":"x"}]}`

// withPlugin is an engine that finds one plugin, stage1-x, in a directory that others may write to.
func withPlugin(t *testing.T) (*Engine, *plugin.Entry) {
	t.Helper()
	dir := t.TempDir()
	own := filepath.Join(dir, "plugins/stage1-x")
	if err := os.MkdirAll(own, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"plugin.json": stage1JSON, "rkt-stage1-x": "\x7fELF one"} {
		if err := os.WriteFile(filepath.Join(own, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return again(t, dir)
}

// again is the engine of a later command, which reads the lock anew.
func again(t *testing.T, dir string) (*Engine, *plugin.Entry) {
	t.Helper()
	e, err := New(config.Config{
		Dir: filepath.Join(dir, "data"), LocalConfig: filepath.Join(dir, "etc"), SystemConfig: dir,
		PluginPath: []string{filepath.Join(dir, "plugins")}, Insecure: config.Insecure{Plugin: true},
	}, Observer{})
	if err != nil {
		t.Fatal(err)
	}
	entry, err := e.Plugin("stage1-x")
	if err != nil {
		t.Fatal(err)
	}
	return e, entry
}

func TestLock(t *testing.T) {
	e, entry := withPlugin(t)
	dir := filepath.Dir(e.Config.Dir)
	if state, err := e.PinState(entry); state != "" || err != nil {
		t.Errorf("not pinned, and is %q, %v", state, err)
	}
	p, err := pinOne(t, e)
	if err != nil || len(p.Files) != 2 || p.Version != "1.0.0" || p.Directory != entry.Dir {
		t.Fatalf("%+v, %v", p, err)
	}
	e, entry = again(t, dir)
	if state, err := e.PinState(entry); state != PinMatches || err != nil {
		t.Errorf("%q, %v", state, err)
	}
	copied, err := e.pin(entry, plugin.KindStage1)
	if err != nil || copied.record.Digest != p.Digest {
		t.Fatal(copied, err)
	}
	// What is launched of a plugin that no pod pins is the copy.
	if got, err := e.admitted(entry); err != nil || got.Dir != copied.Dir {
		t.Errorf("%+v, %v", got, err)
	}

	binary := filepath.Join(entry.Dir, "rkt-stage1-x")
	if err := os.WriteFile(binary, []byte("\x7fELF two"), 0o755); err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"pin":      func() error { _, err := e.pin(entry, plugin.KindStage1); return err },
		"launch":   func() error { _, err := e.admitted(entry); return err },
		"Admitted": func() error { return e.Admitted(entry) },
	} {
		err := try()
		if !errors.Is(err, plugin.ErrRefused) || !strings.Contains(err.Error(), "("+p.Digest[:12]+")") || strings.Contains(err.Error(), p.Digest) || !strings.Contains(err.Error(), "what differs: rkt-stage1-x;") || !strings.Contains(err.Error(), "rkt plugin pin stage1-x") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if state, err := e.PinState(entry); state != PinDiffers || err != nil {
		t.Errorf("%q, %v", state, err)
	}
	// A pod that runs is not asked about: its copy is launched as it is.
	if got, err := e.admitted(copied.Entry); err != nil || got != copied.Entry {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := e.UnpinPlugins(t.Context(), []string{"stage1-x", "stage1-y"}); !errors.Is(err, plugin.ErrMissing) || len(lockedNow(t, e)) != 1 {
		t.Errorf("one of two is not bound: %v, and the lock has %v", err, lockedNow(t, e))
	}
	if was, err := e.UnpinPlugins(t.Context(), []string{"stage1-x"}); err != nil || was[0].Digest != p.Digest {
		t.Fatalf("%+v, %v", was, err)
	}
	if _, err := e.UnpinPlugins(t.Context(), []string{"stage1-x"}); err == nil {
		t.Error("unpinned twice")
	}
	e, entry = again(t, dir)
	if _, err := e.pin(entry, plugin.KindStage1); err != nil {
		t.Error(err)
	}
}

// A copy whose bytes are not those of its name is not what a lock can be made of.
func TestPinOfDamagedCopy(t *testing.T) {
	e, entry := withPlugin(t)
	copied, err := e.pin(entry, plugin.KindStage1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied.Dir, "rkt-stage1-x"), []byte("\x7fELF bad"), 0o755); err != nil {
		t.Fatal(err)
	}
	e, _ = again(t, filepath.Dir(e.Config.Dir))
	_, err = pinOne(t, e)
	if err == nil || !strings.Contains(err.Error(), "has changed on disk") {
		t.Errorf("pinned: %v", err)
	}
	if f, err := lock.Read(e.Config.LocalConfig); err != nil || len(f.Plugins) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestPluginUses(t *testing.T) {
	e, entry := withPlugin(t)
	copied, err := e.pin(entry, plugin.KindStage1)
	if err != nil {
		t.Fatal(err)
	}
	gone := strings.Repeat("0", 64)
	uses := func(stage1, network string) map[string]string {
		return map[string]string{"plugins.json": `{"schema":1,"plugins":{"stage1":{"name":"stage1-x","version":"1.0.0","digest":"` + stage1 +
			`"},"network":{"name":"n","version":"3","digest":"` + network + `"}}}`}
	}
	exited := e.make(t, pod.Run, uses(copied.record.Digest, gone))
	prepared := e.make(t, pod.Prepared, uses(copied.record.Digest, gone))
	e.make(t, pod.Prepare, nil) // too young to have any
	running, err := e.Pods.Lock(e.make(t, pod.Run, uses(gone, gone)))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	torn := e.make(t, pod.Run, map[string]string{"plugins.json": "{"})

	got, err := e.PluginUses("")
	if err == nil || !strings.Contains(err.Error(), torn) {
		t.Errorf("a torn plugins.json is passed over: %v", err)
	}
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	n, current, former := got[0], got[1], got[2]
	if n.Name != "n" || len(n.Pods) != 3 || !n.Missing || n.Installed {
		t.Errorf("%+v", n)
	}
	if current.Digest != copied.record.Digest || !current.Installed || current.Missing || len(current.Pods) != 2 {
		t.Errorf("%+v", current)
	}
	states := map[string]pod.State{}
	for _, p := range current.Pods {
		states[p.UUID] = p.State
	}
	if states[exited] != pod.StateExited || states[prepared] != pod.StatePrepared {
		t.Errorf("%+v", states)
	}
	if former.Digest != gone || former.Installed || !former.Missing || len(former.Pods) != 1 || former.Pods[0].State != pod.StateRunning {
		t.Errorf("%+v", former)
	}
	if got, _ := e.PluginUses("n"); len(got) != 1 || got[0].Name != "n" {
		t.Errorf("%+v", got)
	}
	// The package is removed: what pods hold is as it was.
	if err := os.RemoveAll(entry.Dir); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.PluginUses("stage1-x"); len(got) != 2 || got[0].Installed || got[0].Missing {
		t.Errorf("%+v", got)
	}
}

func pinOne(t *testing.T, e *Engine) (lock.Pin, error) {
	t.Helper()
	if pins, err := e.PinPlugins(t.Context(), []string{"stage1-x", "nosuch"}); err == nil || pins != nil || len(lockedNow(t, e)) != 0 {
		t.Errorf("one of two is not there: %v, and the lock has %v", err, lockedNow(t, e))
	}
	pins, err := e.PinPlugins(t.Context(), []string{"stage1-x"})
	if err != nil {
		return lock.Pin{}, err
	}
	return pins[0], nil
}

func lockedNow(t *testing.T, e *Engine) map[string]lock.Pin {
	t.Helper()
	f, err := lock.Read(e.Config.LocalConfig)
	if err != nil {
		t.Fatal(err)
	}
	return f.Plugins
}
