package cgroup

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/cgroups/v3"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// placed is what childCreate prints.
type placed struct {
	Cgroup poddir.Cgroup
	Own    string // of the child, afterwards
	On     string // the pod's cgroup.subtree_control
	Child  string // where a child of before is: a plugin that starts meanwhile
	Errs   []string
}

// childCreate makes a cgroup from the place that it was started in, runs and kills a process in it, and
// removes it.
func childCreate() int {
	var p placed
	note := func(err error) {
		if err != nil {
			p.Errs = append(p.Errs, err.Error())
		}
	}
	_, unified, err := cgroups.ParseCgroupFileUnified(selfCgroup)
	note(err)
	uuid := os.Getenv("RKT_CGROUP_TEST_UUID")
	plugin := exec.Command("sleep", "1000")
	note(plugin.Start())
	defer func() { _ = plugin.Process.Kill(); _ = plugin.Wait() }()
	p.Cgroup = createV2(unifiedDir, unified, uuid, os.Getenv("RKT_CGROUP_TEST_SYSTEMD") != "no")
	p.Own, err = ownV2()
	note(err)
	_, p.Child, err = cgroups.ParseCgroupFileUnified(fmt.Sprintf("/proc/%d/cgroup", plugin.Process.Pid))
	note(err)
	dir := p.Cgroup.Dirs[""]
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	note(err)
	p.On = strings.TrimSpace(string(b))

	app := filepath.Join(dir, "app-x")
	note(os.Mkdir(app, 0o755))
	cmd := exec.Command("sleep", "1000")
	note(cmd.Start())
	note(os.WriteFile(filepath.Join(app, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0))
	if pop, err := Populated(p.Cgroup); err != nil || !pop {
		note(fmt.Errorf("populated: %v, %v", pop, err))
	}
	note(Kill(p.Cgroup))
	_ = cmd.Wait()
	note(Remove(p.Cgroup))
	if exists(dir) {
		note(fmt.Errorf("%s is left", dir))
	}
	if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
		return 1
	}
	return 0
}

// TestPlaces starts children as a delegated unit, as a unit that is not, and without systemd.
func TestPlaces(t *testing.T) {
	if os.Geteuid() != 0 || cgroups.Mode() != cgroups.Unified || !runsSystemd() {
		t.Skip("needs root, cgroup v2 and systemd: run it in the guest of tests/guest")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	uuid := "test-" + strconv.Itoa(os.Getpid())
	unit := func(extra ...string) []string {
		cmd := []string{"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--unit=rkttest" + strconv.Itoa(os.Getpid())}
		for _, e := range []string{childEnv + "=create", "RKT_CGROUP_TEST_UUID=" + uuid} {
			cmd = append(cmd, "--setenv="+e)
		}
		return append(append(cmd, extra...), exe)
	}
	service := "/system.slice/rkttest" + strconv.Itoa(os.Getpid()) + ".service"
	scope := "/machine.slice/rkt-" + uuid + ".scope"
	for _, tc := range []struct {
		name, own, dir string
		argv           []string
	}{
		{"a: delegated", service + "/supervisor", service + "/rkt-" + uuid, unit("--property=Delegate=yes")},
		{"b: scope", scope + "/supervisor", scope + "/pod", unit()},
		{"b: delegated, but not alone", scope + "/supervisor", scope + "/pod",
			append(unit("--property=Delegate=yes"), "never")}, // the child's parent stays, see below
		{"c: no systemd", service, "/rkt-" + uuid,
			append(unit("--setenv=RKT_CGROUP_TEST_SYSTEMD=no"), "never")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			argv := tc.argv
			if argv[len(argv)-1] == "never" {
				argv = append(argv[:len(argv)-2], "/bin/sh", "-c", exe+"; exit $?")
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = append(os.Environ(), childEnv+"=", "LC_ALL=C")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var p placed
			if err := json.Unmarshal(out, &p); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			t.Logf("%+v", p)
			if len(p.Errs) > 0 || len(p.Cgroup.Skipped) > 0 {
				t.Errorf("errors %q, skipped %q", p.Errs, p.Cgroup.Skipped)
			}
			if got := strings.TrimPrefix(p.Cgroup.Dirs[""], unifiedDir); got != tc.dir {
				t.Errorf("pod is in %s, want %s", got, tc.dir)
			}
			if p.Own != tc.own {
				t.Errorf("rkt is in %s, want %s", p.Own, tc.own)
			}
			if want := map[bool]string{true: tc.own, false: service}[tc.own == service+"/supervisor"]; p.Child != want {
				t.Errorf("its child is in %s, want %s", p.Child, want)
			}
			for range 100 { // systemd removes both when the last process has gone, and says so to who asks
				if !exists(unifiedDir+scope) && !exists(unifiedDir+service) {
					break
				}
				_ = exec.Command("systemctl", "is-active", "--quiet", filepath.Base(scope)).Run()
			}
			if exists(unifiedDir + scope) {
				t.Errorf("%s is left", scope)
			}
			if p.On != "cpu memory pids" {
				t.Errorf("controllers for apps: %q", p.On)
			}
		})
	}
}

func TestParent(t *testing.T) {
	got, err := parent(os.Getpid())
	if err != nil || got != os.Getppid() {
		t.Errorf("got %d, %v; want %d", got, err, os.Getppid())
	}
	if !descends(os.Getpid(), os.Getppid()) || descends(os.Getppid(), os.Getpid()) {
		t.Error("descent is wrong")
	}
}
