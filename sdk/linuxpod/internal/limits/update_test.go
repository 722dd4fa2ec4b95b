package limits

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// hold starts a process in ac that has 24 MiB, and returns what ends it.
func hold(t *testing.T, ac AppCgroup) func() error {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=hold")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, d := range ac.Paths() {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			t.Error(err)
		}
	}
	if _, err := in.Write([]byte{'\n'}); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return func() error {
		in.Close()
		return cmd.Wait()
	}
}

// What a running app has cannot be taken from it: it lives, and every limit is what it was.
func TestUpdateInUse(t *testing.T) {
	c := pod(t)
	if c.Version == 1 && (c.Dirs["memory"] == "" || c.Dirs["cpu"] == "") {
		t.Skip("no memory or cpu controller")
	}
	ac := apply(t, c, &poddir.App{Name: "held", Resources: poddir.Resources{MemoryBytes: 64 << 20, CPUMillis: 500, CPUShares: 512}})
	end := hold(t, ac)
	limit, quota := "memory.limit_in_bytes", "cpu.cfs_quota_us"
	if ac.Version == 2 {
		limit, quota = "memory.max", "cpu.max"
	}
	before := read(ac, "cpu", quota)
	err := Update(t.Context(), ac, poddir.Resources{MemoryBytes: 8 << 20, CPUMillis: 100, CPUShares: 2})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.Want != 8<<20 || inUse.Used <= inUse.Want {
		t.Errorf("update: %v", err)
	}
	if got := read(ac, "memory", limit); got != "67108864" {
		t.Errorf("memory limit is %s after a refusal", got)
	}
	if got := read(ac, "cpu", quota); got != before {
		t.Errorf("cpu quota is %q after a refusal, was %q", got, before)
	}
	for _, bytes := range []int64{48 << 20, 256 << 20, 40 << 20} {
		if err := Update(t.Context(), ac, poddir.Resources{MemoryBytes: bytes}); err != nil {
			t.Errorf("update to %d: %v", bytes, err)
		}
		if got := read(ac, "memory", limit); got != strconv.FormatInt(bytes, 10) {
			t.Errorf("memory limit is %s, want %d", got, bytes)
		}
	}
	if ac.Version == 2 {
		if got := read(ac, "", "memory.high"); got != "max" {
			t.Errorf("memory.high is left at %s", got)
		}
	}
	if err := end(); err != nil {
		t.Errorf("the app: %v", err)
	}
}

func TestUpdateWithout(t *testing.T) {
	for _, ac := range []AppCgroup{{}, {Version: 1}, {Version: 2, Dirs: map[string]string{"": t.TempDir()}}} {
		for _, r := range []poddir.Resources{{MemoryBytes: 1 << 20}, {CPUMillis: 100}, {CPUShares: 2}} {
			if err := Update(t.Context(), ac, r); !errors.Is(err, errNoController) {
				t.Errorf("version %d, %+v: %v", ac.Version, r, err)
			}
		}
	}
}
