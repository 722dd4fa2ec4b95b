package limits

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

const childEnv = "RKT_LIMITS_TEST_CHILD"

func TestMain(m *testing.M) {
	child := os.Getenv(childEnv)
	if child == "" {
		os.Exit(m.Run())
	}
	var b [1]byte
	_, _ = os.Stdin.Read(b[:]) // until the parent has put us into the cgroup
	verb, arg, _ := strings.Cut(child, " ")
	switch verb {
	case "hog":
		hog()
	case "hold":
		held, err := unix.Mmap(-1, 0, 24<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS) // the race detector doubles what Go has
		if err != nil {
			os.Exit(1)
		}
		for i := 0; i < len(held); i += 4096 {
			held[i] = 1
		}
		fmt.Println("held")
		_, _ = os.Stdin.Read(b[:])
	case "open":
		flags, _ := strconv.Atoi(strings.Fields(arg)[1])
		fd, err := unix.Open(strings.Fields(arg)[0], flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			fmt.Println(int(err.(unix.Errno)))
			os.Exit(1)
		}
		unix.Close(fd)
	case "mknod":
		if err := unix.Mknod(arg, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
			fmt.Println(int(err.(unix.Errno)))
			os.Exit(1)
		}
	}
	os.Exit(0)
}

func hog() {
	var keep [][]byte
	for range 256 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		keep = append(keep, b)
	}
	fmt.Println(len(keep))
}

// pod makes a pod's cgroup as core does, on whatever the host has.
func pod(t *testing.T) poddir.Cgroup {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	name := "rkt-limits-test-" + strconv.Itoa(os.Getpid())
	c := poddir.Cgroup{Version: 1, Dirs: map[string]string{}}
	var st unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		c.Version = 2
		c.Dirs[""] = mkdir(t, filepath.Join("/sys/fs/cgroup", name))
		for _, d := range []string{"/sys/fs/cgroup", c.Dirs[""]} {
			if err := os.WriteFile(d+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0); err != nil {
				t.Skip(err)
			}
		}
		return c
	}
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		p := strings.SplitN(s.Text(), ":", 3)
		dir := filepath.Join("/sys/fs/cgroup", p[1], p[2])
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		for _, ctl := range strings.Split(p[1], ",") {
			if slices.Contains([]string{"memory", "cpu", "cpuacct", "pids", "devices", "freezer"}, ctl) {
				c.Dirs[ctl] = mkdir(t, filepath.Join(dir, name))
			}
		}
	}
	if len(c.Dirs) == 0 {
		t.Skip("no cgroups here")
	}
	return c
}

func mkdir(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	return dir
}

func apply(t *testing.T, c poddir.Cgroup, app *poddir.App, volumes ...poddir.Volume) AppCgroup {
	t.Helper()
	ac, warnings, err := Apply(t.Context(), c, app, volumes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name, dir := range c.Dirs {
			if err := os.Remove(filepath.Join(dir, dirPrefix+app.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) && name != "freezer" {
				t.Error(err)
			}
		}
	})
	for _, w := range warnings {
		t.Log("warning:", w)
		for name := range c.Dirs {
			if name == "" || strings.Contains(w, name) {
				t.Error("a limit does not hold though the controller is there")
			}
		}
	}
	return ac
}

// run runs this binary as child inside ac.
func run(t *testing.T, ac AppCgroup, child string) (string, *os.ProcessState) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+child)
	cmd.Stdin = r
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, d := range ac.Paths() {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			_ = cmd.Process.Kill()
			t.Error(err)
		}
	}
	w.Close()
	_ = cmd.Wait()
	return strings.TrimSpace(out.String()), cmd.ProcessState
}

func read(ac AppCgroup, controller, file string) string {
	if ac.Version == 2 {
		controller = ""
	}
	b, err := os.ReadFile(filepath.Join(ac.Dirs[controller], file))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

func TestFiles(t *testing.T) {
	c := pod(t)
	app := &poddir.App{Name: "tasks", Resources: poddir.Resources{MemoryBytes: 64 << 20, CPUMillis: 250, CPUShares: 512}}
	type file struct{ controller, name, want string }
	check := func(ac AppCgroup, files []file) {
		t.Helper()
		for _, f := range files {
			if ac.Version == 1 && ac.Dirs[f.controller] == "" {
				t.Logf("%s: no controller here", f.controller)
				continue
			}
			if got := read(ac, f.controller, f.name); got != f.want {
				t.Errorf("%s: got %q, want %q", f.name, got, f.want)
			}
		}
	}
	v1 := []file{
		{"memory", "memory.limit_in_bytes", "67108864"},
		{"memory", "memory.memsw.limit_in_bytes", "67108864"},
		{"cpu", "cpu.cfs_quota_us", "25000"},
		{"cpu", "cpu.cfs_period_us", "100000"},
		{"cpu", "cpu.shares", "512"},
		{"pids", "pids.max", "2048"},
	}
	v2 := []file{
		{"", "memory.max", "67108864"},
		{"", "memory.swap.max", "0"},
		{"", "memory.oom.group", "1"},
		{"", "cpu.max", "25000 100000"},
		{"", "cpu.weight", "59"},
		{"", "pids.max", "2048"},
	}
	ac := apply(t, c, app)
	_ = apply(t, c, app) // once more, as after a crash
	if c.Version == 1 {
		check(ac, v1)
	} else {
		check(ac, v2)
	}
	for _, bytes := range []int64{128 << 20, 32 << 20} {
		if err := Update(t.Context(), ac, poddir.Resources{MemoryBytes: bytes}); err != nil {
			t.Errorf("update: %v", err)
		}
		want := strconv.FormatInt(bytes, 10)
		if c.Version == 1 {
			check(ac, []file{{"memory", "memory.limit_in_bytes", want}, {"memory", "memory.memsw.limit_in_bytes", want}})
		} else {
			check(ac, []file{{"", "memory.max", want}})
		}
	}
	if u, err := Stats(ac); err != nil || u.Pids != 0 {
		t.Errorf("stats: %+v, %v", u, err)
	}
}

func TestMemoryLimitKills(t *testing.T) {
	c := pod(t)
	if c.Version == 1 && c.Dirs["memory"] == "" {
		t.Skip("no memory controller")
	}
	ac := apply(t, c, &poddir.App{Name: "hog", Resources: poddir.Resources{MemoryBytes: 48 << 20}})
	out, st := run(t, ac, "hog")
	if ws := st.Sys().(interface {
		Signaled() bool
		Signal() unix.Signal
	}); !ws.Signaled() || ws.Signal() != unix.SIGKILL {
		t.Errorf("the hog ended as %v with %q", st, out)
	}
}

func TestDevices(t *testing.T) {
	c := pod(t)
	if c.Version == 1 && c.Dirs["devices"] == "" {
		t.Skip("no devices controller")
	}
	kmsg := filepath.Join(t.TempDir(), "kmsg")
	if err := unix.Mknod(kmsg, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
		t.Skip(err)
	}
	volume := func(ro bool) []poddir.Volume {
		return []poddir.Volume{{Name: "k", Kind: poddir.VolumeHost, Source: kmsg, ReadOnly: ro}}
	}
	mounts := []poddir.Mount{{Volume: "k", Target: "/dev/kmsg"}}
	closed := apply(t, c, &poddir.App{Name: "closed"}, volume(false)...) // the pod's volume, not mounted by this app
	readable := apply(t, c, &poddir.App{Name: "readable", Mounts: mounts}, volume(true)...)
	open := apply(t, c, &poddir.App{Name: "open", Mounts: mounts}, volume(false)...)

	eperm := strconv.Itoa(int(unix.EPERM))
	for _, tc := range []struct {
		name  string
		ac    AppCgroup
		child string
		want  string
	}{
		{"null", closed, "open /dev/null " + strconv.Itoa(unix.O_RDWR), ""},
		{"urandom", closed, "open /dev/urandom " + strconv.Itoa(unix.O_RDONLY), ""},
		{"ptmx", closed, "open /dev/ptmx " + strconv.Itoa(unix.O_RDWR|unix.O_NOCTTY), ""},
		{"kmsg", closed, "open " + kmsg + " " + strconv.Itoa(unix.O_RDONLY), eperm},
		{"mknod", closed, "mknod " + kmsg + ".new", ""},
		{"what it made", closed, "open " + kmsg + ".new " + strconv.Itoa(unix.O_RDONLY), eperm},
		{"read a readable one", readable, "open " + kmsg + " " + strconv.Itoa(unix.O_RDONLY), ""},
		{"write a readable one", readable, "open " + kmsg + " " + strconv.Itoa(unix.O_WRONLY), eperm},
		{"read and write a readable one", readable, "open " + kmsg + " " + strconv.Itoa(unix.O_RDWR), eperm},
		{"read and write an open one", open, "open " + kmsg + " " + strconv.Itoa(unix.O_RDWR), ""},
	} {
		if got, st := run(t, tc.ac, tc.child); got != tc.want || st.Success() != (tc.want == "") {
			t.Errorf("%s: errno %q, want %q (%v)", tc.name, got, tc.want, st)
		}
	}
}

func TestWarnings(t *testing.T) {
	c := poddir.Cgroup{Version: 1, Dirs: map[string]string{}, Skipped: map[string]string{"memory": "not mounted", "pids": "read-only"}}
	app := &poddir.App{Name: "a", Resources: poddir.Resources{MemoryBytes: 1 << 20}}
	ac, w, err := Apply(context.Background(), c, app)
	if err != nil || len(ac.Dirs) != 0 {
		t.Fatalf("%+v, %v", ac, err)
	}
	want := []string{
		"app a: process limit is not enforced, cgroup controller pids: read-only",
		"app a: list of devices is not enforced, cgroup controller devices: controller not available",
		"app a: memory limit is not enforced, cgroup controller memory: not mounted",
	}
	if !slices.Equal(w, want) {
		t.Errorf("got %q", w)
	}
	c.Version = 0
	if ac, w, err := Apply(context.Background(), c, app); err != nil || ac.Version != 0 || len(w) != 3 {
		t.Errorf("without cgroups: %+v, %q, %v", ac, w, err)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "a/b", "../x", "a\nb"} {
		if _, _, err := Apply(context.Background(), poddir.Cgroup{}, &poddir.App{Name: name}); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
}

func TestDeviceString(t *testing.T) {
	if got := (Device{'c', 136, all, "rwm"}).String(); got != "c 136:* rwm" {
		t.Error(got)
	}
	if len(filter(DefaultDevices())) == 0 {
		t.Error("empty filter")
	}
}
