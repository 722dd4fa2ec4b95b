package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod"
)

// withCgroup gives the pod a cgroup as core makes it: per controller on v1, below the root on v2.
func (p *pod) withCgroup() *pod {
	p.t.Helper()
	name := fmt.Sprintf("rkt-%s", p.pod.UUID)
	cg := poddir.Cgroup{Version: 1, Dirs: map[string]string{}, Skipped: map[string]string{}}
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		cg.Version = 2
		cg.Dirs[""] = filepath.Join("/sys/fs/cgroup", name)
		for _, c := range []string{"+memory", "+pids", "+cpu"} {
			_ = os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte(c), 0)
		}
	} else {
		for _, c := range []string{"memory", "cpu", "cpuacct", "devices", "freezer", "pids"} {
			if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", c, "tasks")); err == nil {
				cg.Dirs[c] = filepath.Join("/sys/fs/cgroup", c, name)
			}
		}
	}
	for _, dir := range cg.Dirs {
		if err := os.Mkdir(dir, 0o755); err != nil {
			p.t.Skipf("no cgroups: %v", err)
		}
		p.t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				p.t.Error(err)
			}
		})
		if cg.Version == 2 {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory +pids +cpu"), 0); err != nil {
				p.t.Skipf("no cgroup controllers: %v", err)
			}
		}
	}
	p.rt.Cgroup = cg
	return p
}

func TestCgroup(t *testing.T) {
	layer := busybox(t)
	p := newPod(t, app("a", layer, "cat /proc/self/cgroup; echo --; ls /sys/fs/cgroup; echo --; mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x 2>/dev/null; grep ' /sys/fs/cgroup' /proc/self/mounts")).withCgroup()
	if code := p.start().wait(); code != 0 {
		t.Fatalf("exit status %d: %s", code, p.stderr.String())
	}
	parts := strings.Split(p.stdout.String(), "--\n")
	for line := range strings.Lines(parts[0]) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if _, ok := p.rt.Cgroup.Dirs[f[1]]; ok && f[2] != "/" {
			t.Errorf("cgroup %s: the app is not in a cgroup (namespace) of its own", line)
		}
	}
	for line := range strings.Lines(parts[2]) {
		if !strings.Contains(line, " ro,") {
			t.Errorf("writable: %s", line)
		}
	}
	if strings.Contains(parts[1], "rkt-") {
		t.Errorf("the app sees other cgroups: %s", parts[1])
	}
}

func TestMemoryLimit(t *testing.T) {
	layer := busybox(t)
	a := app("a", layer, "")
	a.Argv = []string{"sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=256M count=1"}
	a.Resources.MemoryBytes = 32 << 20
	p := newPod(t, a).withCgroup()
	code := p.start().wait()
	if s := p.status("a"); code != 137 || !s.OOM || s.Signal != "SIGKILL" {
		t.Errorf("exit status %d, status %s; stderr %s", code, dump(s), p.stderr.String())
	}
}

func TestDeviceRules(t *testing.T) {
	layer := busybox(t)
	b, err := os.ReadFile("/proc/partitions")
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	for line := range strings.Lines(string(b)) {
		var blocks int
		var name string
		if n, _ := fmt.Sscan(line, &major, &minor, &blocks, &name); n == 4 {
			break
		}
	}
	if major == 0 {
		t.Skip("no disk to be kept from")
	}
	p := newPod(t, app("a", layer, fmt.Sprintf("mknod /tmp/disk b %d %d || exit 3; dd if=/tmp/disk of=/dev/null bs=512 count=1 2>&1; echo x > /dev/null", major, minor))).withCgroup()
	code := p.start().wait()
	if code != 0 || !strings.Contains(p.stdout.String(), "Operation not permitted") {
		t.Errorf("exit status %d, output %q, stderr %q", code, p.stdout.String(), p.stderr.String())
	}
}

// `rkt enter` is charged to the app.
func TestEnterCgroup(t *testing.T) {
	layer := busybox(t)
	p := newPod(t, app("a", layer, "exec sleep 1000")).withCgroup()
	p.start().awaitReady()
	want, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.status("a").Pid))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.enter(nil, "a", "sh", "-c", "touch /tmp/in; while [ -e /tmp/in ]; do sleep 0.02; done")
	}()
	defer func() { p.cmd.Process.Signal(unix.SIGTERM); p.wait(); <-done }()
	p.await("apps/a/upper/tmp/in")
	procs := 0
	dirs, err := linuxpod.CgroupDirs(p.dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range strings.Fields(string(b)) {
			got, err := os.ReadFile("/proc/" + pid + "/cgroup")
			if err == nil && string(got) != string(want) {
				t.Errorf("process %s is in\n%s, the app in\n%s", pid, got, want)
			}
			procs++
		}
	}
	if procs < 2*len(p.rt.Cgroup.Dirs) {
		t.Errorf("%d processes in %d cgroups", procs, len(p.rt.Cgroup.Dirs))
	}
}

func TestOOMScore(t *testing.T) {
	layer := busybox(t)
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	var own int
	fmt.Sscan(string(b), &own)
	for _, tc := range []struct{ adj int }{{own + 100}, {own}} {
		a := app("a", layer, "cat /proc/self/oom_score_adj")
		a.Resources.OOMScoreAdj = &tc.adj
		if got := output(t, a); strings.TrimSpace(got) != fmt.Sprint(tc.adj) {
			t.Errorf("oom_score_adj %q, want %d", got, tc.adj)
		}
	}
	low := -900
	a := app("a", layer, "cat /proc/self/oom_score_adj")
	a.Resources.OOMScoreAdj = &low
	p := newPod(t, a).start()
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d: %s", code, p.stderr.String())
	}
	if got := strings.TrimSpace(p.stdout.String()); got != "-900" && !strings.Contains(p.stderr.String(), "CAP_SYS_RESOURCE") {
		t.Errorf("oom_score_adj %s, stderr %q", got, p.stderr.String())
	}
}
