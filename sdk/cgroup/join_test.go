package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/internal/thread"
)

// What the thread forks is in the pod's cgroup; on version 2, in the app's own below it.
func TestJoin(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("cgroups are made by root")
	}
	cg, want := podCgroup(t)
	if err := thread.Run(func() error { return fork(t, cg, want) }); err != nil {
		t.Fatal(err)
	}
}

// podCgroup makes a pod's cgroup where this process is, and says what a member's /proc/PID/cgroup ends in.
func podCgroup(t *testing.T) (poddir.Cgroup, string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		at, cg, want := "/sys/fs/cgroup", poddir.Cgroup{Version: 2}, "/rkt-join-test/a"
		switch {
		case f[1] == "pids":
			at, cg.Version, want = at+"/pids", 1, "/rkt-join-test"
		case f[1] != "" || unix.Access(at+"/cgroup.controllers", unix.F_OK) != nil:
			continue
		}
		dir := filepath.Join(at, f[2], "rkt-join-test")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = os.Remove(filepath.Join(dir, "a"))
			err := os.Remove(dir)
			// On version 1 the thread that was moved is on its way out.
			for deadline := time.Now().Add(10 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(deadline); err = os.Remove(dir) {
				time.Sleep(time.Millisecond)
			}
			if err != nil {
				t.Error(err)
			}
		})
		cg.Dirs = map[string]string{"": dir}
		return cg, want
	}
	t.Skip("neither a pids controller of version 1 nor a unified hierarchy at /sys/fs/cgroup")
	return poddir.Cgroup{}, ""
}

func fork(t *testing.T, cg poddir.Cgroup, want string) error {
	dir, err := Join(cg, "a")
	if err != nil {
		return err
	}
	cmd := exec.Command("cat", "/proc/self/cgroup")
	if dir != nil {
		defer dir.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasSuffix(strings.TrimSpace(line), want) {
			return nil
		}
	}
	t.Errorf("the child is in\n%swant %s", out, want)
	return nil
}
