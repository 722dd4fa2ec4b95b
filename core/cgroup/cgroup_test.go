package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/cgroups/v3"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// childEnv makes the test binary do something else than test: see TestMain.
const childEnv = "RKT_CGROUP_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "create":
		os.Exit(childCreate())
	case "forker":
		childForker()
	}
	os.Exit(2)
}

func TestLooksOurs(t *testing.T) {
	for dir, want := range map[string]bool{
		"/sys/fs/cgroup/memory/rkt-1":                  true,
		"/sys/fs/cgroup/system.slice/a.service/rkt-1":  true,
		"/sys/fs/cgroup/machine.slice/rkt-1.scope/pod": true,
		"/sys/fs/cgroup/machine.slice/rkt-1/pod":       false,
		"/sys/fs/cgroup/machine.slice/pod":             false,
		"/sys/fs/cgroup":                               false,
		"/sys/fs/cgroup/rkt-":                          false,
		"/sys/fs/cgroup/rkt-1/..":                      false,
		"/":                                            false,
		"":                                             false,
		"rkt-1":                                        false,
		"/sys/fs/cgroup/machine.slice/rkt-1.scope/pod/../x": false,
	} {
		if got := looksOurs(dir); got != want {
			t.Errorf("%q: got %v", dir, got)
		}
	}
}

func TestBadUUID(t *testing.T) {
	for _, id := range []string{"", "../x", "a/b", "-", strings.Repeat("a", 65), "a.scope"} {
		if _, err := Create(id); err == nil {
			t.Errorf("%q: no error", id)
		}
	}
}

func TestForeignDirsAreRefused(t *testing.T) {
	for _, dir := range []string{"/sys/fs/cgroup", filepath.Join(t.TempDir(), "rkt-x")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c := poddir.Cgroup{Version: 1, Dirs: map[string]string{"memory": dir}}
		if err := Remove(c); err == nil {
			t.Errorf("remove %s: no error", dir)
		}
		if err := Kill(c); err == nil {
			t.Errorf("kill %s: no error", dir)
		}
	}
	if err := Kill(poddir.Cgroup{}); !errors.Is(err, ErrNeedPid) {
		t.Errorf("kill without cgroup: %v", err)
	}
	if err := Remove(poddir.Cgroup{}); err != nil {
		t.Errorf("remove without cgroup: %v", err)
	}
}

// create makes a pod's cgroup and removes it at the end: on v1 as Create does; on v2 in the place that needs no
// move of this process, while TestPlaces does the others in children.
func create(t *testing.T) poddir.Cgroup {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	var c poddir.Cgroup
	uuid := "test-" + strconv.Itoa(os.Getpid())
	if cgroups.Mode() == cgroups.Unified {
		c = poddir.Cgroup{Version: 2, Skipped: map[string]string{}}
		dir, err := makeV2(unifiedDir, prefix+uuid, false, c.Skipped)
		if err != nil {
			t.Skip(err)
		}
		c.Dirs = map[string]string{"": dir}
	} else {
		var err error
		if c, err = Create(uuid); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := Kill(c); err != nil && !errors.Is(err, ErrNeedPid) {
			t.Error(err)
		}
		if err := Remove(c); err != nil {
			t.Error(err)
		}
	})
	if c.Version == 0 {
		t.Skipf("no cgroups: %v", c.Skipped)
	}
	return c
}

// start runs name in the child cgroup "app" of every directory of the pod.
func start(t *testing.T, c poddir.Cgroup, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ds, err := dirs(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		app := filepath.Join(d, "app")
		if err := os.MkdirAll(app, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(app, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLife(t *testing.T) {
	c := create(t)
	t.Logf("%+v", c)
	for name, dir := range c.Dirs {
		if c.Version == 2 {
			break
		}
		if b, err := os.ReadFile(filepath.Join(dir, "notify_on_release")); err != nil || strings.TrimSpace(string(b)) != "0" {
			t.Errorf("%s: notify_on_release is %q, %v", name, b, err)
		}
	}
	if c.Version == 2 {
		// Create would move us
	} else if again, err := Create("test-" + strconv.Itoa(os.Getpid())); err != nil || len(again.Dirs) != len(c.Dirs) {
		t.Errorf("second create: %+v, %v", again, err)
	}
	if pop, err := Populated(c); err != nil || pop {
		t.Errorf("populated before start: %v, %v", pop, err)
	}
	cmd := exec.Command("sleep", "1000")
	start(t, c, cmd)
	if pids, err := Procs(c); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("procs: %v, %v", pids, err)
	}
	if err := Kill(c); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(interface{ Signal() unix.Signal }).Signal() != unix.SIGKILL {
		t.Errorf("wait: %v", err)
	}
	for range 2 {
		if err := Remove(c); err != nil {
			t.Error(err)
		}
	}
	for _, d := range c.Dirs {
		if exists(d) {
			t.Errorf("%s is left", d)
		}
	}
	if err := Kill(c); err != nil {
		t.Errorf("kill of what is gone: %v", err)
	}
}

// TestKillForks has processes that fork as fast as they can and exit: whoever lists and kills without
// stopping forks never ends.
func TestKillForks(t *testing.T) {
	for _, without := range []string{"", "freezer", "pids"} {
		t.Run("without "+without, func(t *testing.T) {
			c := create(t)
			if d := c.Dirs[without]; c.Version == 1 && d != "" {
				defer func() { c.Dirs[without] = d }()
				delete(c.Dirs, without)
				_ = os.Remove(d)
			}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), childEnv+"=forker")
			cmd.Stdin = r // the forker waits for this before it starts
			start(t, c, cmd)
			w.Close()
			_ = cmd.Wait() // the first generation has gone, the rest is on its way
			if err := Kill(c); err != nil {
				t.Fatal(err)
			}
			if pop, err := Populated(c); err != nil || pop {
				t.Errorf("populated after kill: %v, %v", pop, err)
			}
			if err := Remove(c); err != nil {
				t.Error(err)
			}
		})
	}
}

// childForker replaces itself by a child over and over.
func childForker() {
	var b [1]byte
	_, _ = os.Stdin.Read(b[:])
	for {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = os.Environ()
		if cmd.Start() == nil {
			os.Exit(0)
		}
	}
}

// TestKillLoop is for kernels without cgroup.kill.
func TestKillLoop(t *testing.T) {
	c := create(t)
	cmd := exec.Command("sleep", "1000")
	start(t, c, cmd)
	ds, err := dirs(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := killLoop(ds); err != nil {
		t.Fatal(err)
	}
	if pids, err := Procs(c); err != nil || len(pids) > 0 {
		t.Errorf("left: %v, %v", pids, err)
	}
	for _, d := range ds {
		for file, bad := range map[string]string{"freezer.state": "FROZEN\n", "cgroup.freeze": "1\n"} {
			if b, err := os.ReadFile(filepath.Join(d, file)); err == nil && string(b) == bad {
				t.Errorf("%s is left frozen", d)
			}
		}
	}
}

// TestRemoveWaits removes the cgroup of a process that is about to go.
func TestRemoveWaits(t *testing.T) {
	c := create(t)
	cmd := exec.Command("sleep", "1000")
	start(t, c, cmd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := Remove(c); err != nil { // nobody has reaped it yet
		t.Error(err)
	}
}

func TestRemoveKillsNobody(t *testing.T) {
	c := create(t)
	cmd := exec.Command("sleep", "1000")
	start(t, c, cmd)
	if err := Remove(c); !errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	if err := cmd.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("process: %v", err)
	}
}
