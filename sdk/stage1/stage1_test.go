package stage1

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// The test binary is the plugin (STAGE1=chroot or wrapped), its supervisor, the app in the image (/app BEHAVIOUR), and what
// stands in front of it (init ROOT BEHAVIOUR).
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "app":
		app(os.Args[1])
	case "init":
		os.Exit(initOf(os.Args[1], os.Args[2]))
	}
	if flavor := os.Getenv("STAGE1"); flavor != "" {
		os.Unsetenv("STAGE1")
		Main(Info{Name: "stage1-test", Version: "1.0.0"}, map[string]Stage1{"chroot": chroot{}, "wrapped": wrapped{}}[flavor])
	}
	os.Exit(m.Run())
}

type chroot struct{ Base }

func (chroot) Command(_ *supervise.Pod, app *poddir.App, root string) (*exec.Cmd, error) {
	path, err := LookPath(root, app)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{Path: path, Args: app.Argv, SysProcAttr: &syscall.SysProcAttr{Chroot: root}}, nil
}

func app(behaviour string) {
	switch behaviour {
	case "seven":
		os.Exit(7)
	case "write":
		if err := os.WriteFile("/written", []byte("x"), 0o600); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
	case "orphan":
		cmd := &exec.Cmd{Path: "/app", Args: []string{"/app", "sleep"}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
		if err := cmd.Start(); err != nil {
			os.Exit(1)
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "descriptors":
		if flags, err := unix.FcntlInt(reportFD, unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			os.Exit(1) // it is not the runtime's own
		}
	case "whoami":
		b, _ := os.ReadFile("/app.txt")
		os.Stdout.WriteString(string(b) + os.Getenv("WHO"))
		if os.Getuid() != 12 || os.Getgid() != 34 {
			os.Exit(1)
		}
	}
	os.Exit(0)
}

type pod struct {
	dir    string
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// startPod becomes, in a child, what `rkt run` becomes.
func startPod(t *testing.T, apps ...poddir.App) *pod {
	t.Helper()
	return startPodOf(t, "chroot", apps...)
}

func startPodOf(t *testing.T, flavor string, apps ...poddir.App) *pod {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if f, err := elf.Open("/proc/self/exe"); err == nil {
		defer f.Close()
		if libs, _ := f.ImportedLibraries(); len(libs) > 0 {
			t.Skip("the test binary is the app, and is not static (CGO_ENABLED=0)")
		}
	}
	base := t.TempDir()
	layer := filepath.Join(base, "layer:1,a") // characters that overlayfs's options know
	p := &pod{dir: filepath.Join(base, "pod")}
	for _, d := range []string{layer, p.dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(layer, "app"), exe, 0o755), os.WriteFile(filepath.Join(layer, "app.txt"), []byte("image"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for i := range apps {
		apps[i].Rootfs = poddir.Rootfs{Layers: []string{layer}}
	}
	doc := poddir.Pod{Schema: poddir.Schema, UUID: "u", Apps: apps}
	rt := poddir.Runtime{Schema: poddir.Schema, Network: poddir.Network{Mode: poddir.NetworkHost}, GraceSeconds: 5}
	if err := errors.Join(poddir.WriteJSON(p.dir, poddir.PodFile, doc), poddir.WriteJSON(p.dir, poddir.RuntimeFile, rt)); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	plan, err := Base{}.Run(t.Context(), RunRequest{PodDir: p.dir, Netns: -1})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plan.KeepFDs, []string{launch.FDLock}) || plan.Program != "" {
		t.Errorf("plan %+v", plan)
	}
	p.cmd = exec.Command("/proc/self/exe", plan.Args...)
	p.cmd.Dir = p.dir
	p.cmd.Env = []string{"STAGE1=" + flavor, launch.EnvFDs + "=lock:3"}
	p.cmd.ExtraFiles = []*os.File{lock}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

func TestPods(t *testing.T) {
	before, _ := os.ReadFile("/proc/self/mounts")
	for _, c := range []struct {
		name string
		apps []poddir.App
		code int
		says string
	}{
		{"exit status", []poddir.App{{Name: "a", Argv: []string{"/app", "seven"}}}, 7, ""},
		{"found in PATH", []poddir.App{{Name: "a", Argv: []string{"app", "seven"}, Env: []string{"PATH=/none:/"}}}, 7, ""},
		{"no such program", []poddir.App{{Name: "a", Argv: []string{"/none"}}}, 127, "no such file"},
		{"not in PATH", []poddir.App{{Name: "a", Argv: []string{"none"}, Env: []string{"PATH=/bin"}}}, 127, "is in no directory of PATH=/bin"},
		{"not executable", []poddir.App{{Name: "a", Argv: []string{"/app.txt"}}}, 126, "permission denied"},
		{"user and environment", []poddir.App{{Name: "a", Argv: []string{"/app", "whoami"}, User: "12", Group: "34", Env: []string{"WHO= me"}}}, 0, "image me"},
		{"write", []poddir.App{{Name: "a", Argv: []string{"/app", "write"}}}, 0, ""},
		{"read-only", []poddir.App{{Name: "a", Argv: []string{"/app", "write"}, ReadOnlyRoot: true}}, 1, "read-only file system"},
		{"named user", []poddir.App{{Name: "a", Argv: []string{"/app"}, User: "www"}}, supervise.ExitCannotStart, `"www" is not a number`},
		{"orphans", []poddir.App{{Name: "a", Argv: []string{"/app", "orphan"}}}, 0, ""},
		{"two apps, one fails", []poddir.App{{Name: "a", Argv: []string{"/app", "sleep"}}, {Name: "b", Argv: []string{"/app", "seven"}}}, 7, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPod(t, c.apps...)
			err := p.cmd.Wait() // also for whoever else holds stdout: an orphan that is left would never let it end
			out := p.stdout.String() + p.stderr.String()
			if code := p.cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("exit status %d, want %d (%v)\n%s", code, c.code, err, out)
			}
			var exit poddir.PodExit
			if err := poddir.ReadJSON(p.dir, poddir.ExitFile, &exit); err != nil {
				t.Error(err)
			}
		})
	}
	after, _ := os.ReadFile("/proc/self/mounts")
	if !bytes.Equal(before, after) {
		t.Error("mounts are left")
	}
}

// A killed supervisor takes its apps along.
func TestSupervisorKilled(t *testing.T) {
	p := startPod(t, poddir.App{Name: "a", Argv: []string{"/app", "sleep"}})
	waitReady(t, p)
	s, err := poddir.ReadStatus(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(s["a"].Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); err != nil || n != 1 {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		t.Errorf("the app lives on: %d, %v", n, err)
	}
}

func TestStop(t *testing.T) {
	p := startPod(t, poddir.App{Name: "a", Argv: []string{"/app", "sleep"}})
	waitReady(t, p)
	for range 2 { // idempotent
		if err := (Base{}).Stop(t.Context(), StopRequest{PodDir: p.dir}); err != nil {
			t.Fatal(err)
		}
	}
	p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr.String())
	}
	for _, dir := range []string{p.dir, filepath.Join(p.dir, "none")} {
		if err := (Base{}).Stop(t.Context(), StopRequest{PodDir: dir, Force: true}); err != nil {
			t.Errorf("an ended pod: %v", err)
		}
	}
}

func waitReady(t *testing.T, p *pod) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(p.dir, poddir.ReadyFile)); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never ready\n%s", p.stderr.String())
		}
	}
}

type full struct{ chroot }

func (full) Enter(context.Context, EnterRequest) (ExecPlan, error)   { return ExecPlan{}, nil }
func (full) Attach(context.Context, AttachRequest) (ExecPlan, error) { return ExecPlan{}, nil }
func (full) Stats(context.Context, string) ([]AppStats, error)       { return nil, nil }
func (full) AddApp(context.Context, AppRequest) error                { return nil }
func (full) StartApp(context.Context, AppRequest) error              { return nil }
func (full) StopApp(context.Context, AppRequest) error               { return nil }
func (full) RemoveApp(context.Context, AppRequest) error             { return nil }
func (full) UpdateResources(context.Context, Resources) error        { return nil }
func (full) Probe(context.Context) ([]plugin.Finding, error)         { return nil, nil }
func (full) Cleanup(context.Context, string) error                   { return nil }

func TestCapabilities(t *testing.T) {
	for _, c := range []struct {
		impl Stage1
		want []string
	}{
		{chroot{}, []string{"stop"}},
		{full{}, []string{"enter", "attach", "stop", "stats", "mutable", "resources", "cleanup"}},
	} {
		m := Manifest(Info{Name: "stage1-x", Version: "1"}, c.impl)
		p := m.Provision(manifest.ServiceStage1)
		if !reflect.DeepEqual(p.Capabilities, c.want) || p.Flavor != "x" {
			b, _ := json.Marshal(m)
			t.Errorf("%s", b)
		}
	}
}

func TestSuperviseByHand(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "supervise")
	cmd.Env = []string{"STAGE1=chroot"}
	out, _ := cmd.StderrPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(out)
	cmd.Wait()
	if cmd.ProcessState.ExitCode() != supervise.ExitCannotStart || !strings.Contains(string(b), "not by hand") {
		t.Errorf("%v: %s", cmd.ProcessState, b)
	}
}
