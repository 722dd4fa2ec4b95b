package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/config"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/core/reclaim"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// floor is an engine whose every plugin is gone: what the floor promises must hold (DESIGN.md, section 3).
func floor(t *testing.T) (*Engine, *[]string) {
	t.Helper()
	warned := &[]string{}
	dir := t.TempDir()
	e, err := New(config.Config{Dir: filepath.Join(dir, "data"), LocalConfig: dir, SystemConfig: dir, StopGrace: time.Second, FetchLimit: time.Minute},
		Observer{Warn: func(s string) { *warned = append(*warned, s) }})
	if err != nil {
		t.Fatal(err)
	}
	return e, warned
}

// make puts a pod into a section as a killed process would leave it.
func (e *Engine) make(t *testing.T, s pod.Section, files map[string]string) string {
	t.Helper()
	p, err := e.Pods.New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for name, content := range files {
		path := filepath.Join(p.Path(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if s != pod.Prepare {
		if err := p.MoveTo(s); err != nil {
			t.Fatal(err)
		}
	}
	return p.UUID
}

const plugins = `{"schema":1,"plugins":{"stage1":{"name":"s","digest":"sha256-0000"},"network":{"name":"n","digest":"sha256-0000"}}}`

func TestGC(t *testing.T) {
	e, warned := floor(t)
	young := fmt.Sprintf(`{"schema":1,"created":%q}`, time.Now().Format(time.RFC3339))
	old := `{"schema":1,"created":"2001-01-01T00:00:00Z"}`
	var (
		aborted = e.make(t, pod.Prepare, nil)
		waiting = e.make(t, pod.Prepared, map[string]string{"pod.json": young})
		stale   = e.make(t, pod.Prepared, map[string]string{"pod.json": old})
		ended   = e.make(t, pod.Run, map[string]string{"pod.json": old, "runtime.json": `{"cgroup":{"version":0}}`, "plugins.json": plugins})
		cut     = e.make(t, pod.Run, map[string]string{"pod.json": old}) // killed before runtime.json and plugins.json
		torn    = e.make(t, pod.Run, map[string]string{"pod.json": "", "runtime.json": "", "plugins.json": "", "net/state/x": ""})
		halfway = e.make(t, pod.Garbage, map[string]string{"apps/a/upper/f": "x"})
	)
	live, err := e.Pods.Lock(e.make(t, pod.Run, map[string]string{"pod.json": old}))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()

	r, err := e.GC(t.Context(), GCOptions{Grace: time.Hour, ExpirePrepared: time.Hour, MarkOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "marked", r.Marked, aborted, ended, cut, torn)
	same(t, "removed by --mark-only", r.Removed)
	if len(*warned) == 0 || !strings.Contains(strings.Join(*warned, "\n"), torn) {
		t.Errorf("no word of a network that nobody can tear down: %q", *warned)
	}

	r, err = e.GC(t.Context(), GCOptions{Grace: time.Hour, ExpirePrepared: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "marked", r.Marked, stale)
	same(t, "kept", r.Kept, ended, cut, torn)
	same(t, "removed", r.Removed, aborted, halfway, stale)

	r, err = e.GC(t.Context(), GCOptions{ExpirePrepared: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "removed", r.Removed, ended, cut, torn)
	list, err := e.Pods.List()
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, i := range list {
		left = append(left, i.UUID)
	}
	same(t, "left", left, waiting, live.UUID)
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// Ctrl-C leaves what is not done to the next gc, and says that it was cut short.
func TestGCCancelled(t *testing.T) {
	e, _ := floor(t)
	id := e.make(t, pod.Run, map[string]string{"pod.json": "{}"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := e.GC(ctx, GCOptions{})
	if !errors.Is(err, context.Canceled) || len(r.Marked)+len(r.Removed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if info, err := e.Pods.Info(id); err != nil || info.State != pod.StateExited {
		t.Errorf("%+v, %v", info, err)
	}
}

// One pod that cannot be removed is named, and keeps none of the others.
func TestGCBadPod(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts need root")
	}
	e, _ := floor(t)
	bad := e.make(t, pod.Garbage, map[string]string{"m/x": ""})
	good := e.make(t, pod.Garbage, nil)
	at := filepath.Join(e.Pods.Dir(pod.Garbage, bad), "m")
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
	r, err := e.GC(t.Context(), GCOptions{})
	if err == nil || !strings.Contains(err.Error(), "remove pod "+bad) {
		t.Error(err)
	}
	same(t, "removed", r.Removed, good)
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
	r, err = e.GC(t.Context(), GCOptions{})
	if err != nil {
		t.Error(err)
	}
	same(t, "removed", r.Removed, bad)
}

func TestRemove(t *testing.T) {
	e, _ := floor(t)
	for _, s := range []pod.Section{pod.Prepare, pod.Prepared, pod.Run, pod.ExitedGarbage, pod.Garbage} {
		id := e.make(t, s, map[string]string{"pod.json": "{", "net/state/x": ""})
		if got, err := e.Remove(t.Context(), id[:13]); err != nil || got != id {
			t.Errorf("%s: %q, %v", s, got, err)
		}
		if _, err := e.Pods.Info(id); !isGone(err) {
			t.Errorf("%s: %v", s, err)
		}
	}
	p, err := e.Pods.Lock(e.make(t, pod.Run, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := e.Remove(t.Context(), p.UUID); err == nil || err.Error() != fmt.Sprintf("pod %q is running, not stopped (rkt stop ends it)", p.UUID) {
		t.Error(err)
	}
	if _, err := e.Remove(t.Context(), "ffffffff-0000"); !isGone(err) {
		t.Error(err)
	}
}

func TestStopStates(t *testing.T) {
	e, _ := floor(t)
	for s, want := range map[pod.Section]string{
		pod.Run: ErrAlreadyStopped.Error(), pod.ExitedGarbage: ErrAlreadyStopped.Error(),
		pod.Prepared: "is prepared, not running", pod.Prepare: "is aborted prepare, not running",
	} {
		if _, err := e.Stop(t.Context(), e.make(t, s, nil), true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", s, err, want)
		}
	}
}

// Finish reports the pod's status whatever fails beside it, and with --rm leaves of a pod what gc has to know.
func TestFinish(t *testing.T) {
	const keep, remove = `{"remove":false}`, `{"remove":true}`
	for _, c := range []struct {
		name  string
		files map[string]string
		code  int
		err   string
		left  pod.State // "": gone
	}{
		{"stays", map[string]string{"exit": `{"code":7}`, "runtime.json": keep, "plugins.json": plugins}, 7, "pinned plugin", pod.StateExited},
		{"--rm that cannot be released is kept for gc", map[string]string{"exit": `{"code":7}`, "runtime.json": remove, "plugins.json": plugins, "net/state/x": ""}, 7, "rkt gc tries again", pod.StateExitedGarbage},
		{"no exit file", map[string]string{"runtime.json": remove}, 254, "exit", pod.StateExited},
		{"half an exit file", map[string]string{"exit": "{", "runtime.json": remove}, 254, "exit", pod.StateExited},
		{"no runtime.json", map[string]string{"exit": `{"code":7}`}, 7, "runtime.json", pod.StateExited},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, _ := floor(t)
			c.files["pod.json"] = "{}"
			id := e.make(t, pod.Run, c.files)
			code, err := e.Finish(t.Context(), id, lockOf(t, e, id))
			if code != c.code || err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d, %v, want %d, %q", code, err, c.code, c.err)
			}
			if info, err := e.Pods.Info(id); err != nil || info.State != c.left {
				t.Errorf("%+v, %v", info, err)
			}
		})
	}
	e, _ := floor(t)
	id := e.make(t, pod.Run, nil)
	if code, err := e.Finish(t.Context(), id, launch.FDs{}); code != 254 || err == nil || !strings.Contains(err.Error(), "not by hand") {
		t.Errorf("%d, %v", code, err)
	}
}

// What core itself does at the end needs no plugin: a pod with none is finished, and with --rm gone.
func TestFinishWithoutPlugins(t *testing.T) {
	for runtime, gone := range map[string]bool{`{"remove":false}`: false, `{"remove":true}`: true} {
		e, _ := floor(t)
		id := e.make(t, pod.Run, map[string]string{"pod.json": "{}", "exit": `{"code":3}`, "runtime.json": runtime})
		p, err := reclaim.Adopt(e.Pods, id, lockOf(t, e, id))
		if err != nil {
			t.Fatal(err)
		}
		code, err := reclaim.Finish(p, nil)
		p.Close()
		if code != 3 || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		if _, err := e.Pods.Info(id); isGone(err) != gone {
			t.Errorf("%s: %v", runtime, err)
		}
	}
}

// lockOf is the pod's lock as a descriptor that the callee owns, as after an execve.
func lockOf(t *testing.T, e *Engine, id string) launch.FDs {
	t.Helper()
	p, err := e.Pods.Lock(id)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fd, err := unix.Dup(int(p.LockFile().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return launch.FDs{launch.FDLock: fd}
}

// A plugins.json that names no stage1 is an error, not a crash.
func TestPinnedMissing(t *testing.T) {
	e, _ := floor(t)
	id := e.make(t, pod.Prepared, map[string]string{"pod.json": "{}", poddir.PluginsFile: `{"plugins":{}}`})
	if err := e.RunPrepared(t.Context(), id, RunOptions{}); err == nil || !strings.Contains(err.Error(), "its plugins.json names no stage1") {
		t.Error(err)
	}
	if err := e.RunPrepared(t.Context(), e.make(t, pod.Run, nil), RunOptions{}); err == nil || !strings.Contains(err.Error(), "is exited, not prepared") {
		t.Error(err)
	}
}
