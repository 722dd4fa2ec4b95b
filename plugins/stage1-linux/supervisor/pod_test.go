package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/linux"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

// built is the program under test.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rkt-supervisor-test-")
	if err != nil {
		return "", err
	}
	exe := filepath.Join(dir, linux.Supervisor)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", exe, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("RKT_TEST_RACE") != "" {
		// The race detector needs cgo, and so a C compiler.
		cmd = exec.Command("go", "build", "-race", "-o", exe, ".")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build supervisor: %w\n%s", err, out)
	}
	return exe, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Geteuid() == 0 {
		if exe, err := built(); err == nil {
			os.RemoveAll(filepath.Dir(exe))
		}
	}
	os.Exit(code)
}

// defaultCaps is core's default set.
func defaultCaps() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
}

// pod is a pod directory made as core makes it, and the supervisor that runs it.
type pod struct {
	t   testing.TB
	dir string
	pod poddir.Pod
	rt  poddir.Runtime

	lock, netns    *os.File
	cmd            *exec.Cmd
	stdin          *os.File
	stdout, stderr bytes.Buffer
	env            []string
}

// busybox makes a layer with a static busybox and the names of the applets that the tests use.
func busybox(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces, mounts, cgroups")
	}
	const exe = "/bin/busybox"
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Skipf("needs a static busybox in %s (apt-get install busybox-static)", exe)
	}
	dir := filepath.Join(t.TempDir(), "layer")
	for _, d := range []string{"bin", "etc", "tmp", "root", "home/app"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "bin/busybox", string(b), 0o755)
	for _, a := range strings.Fields("sh true false cat ls id env pwd sleep mount umount grep echo stat readlink kill chmod chown mkdir touch ln rm hostname mknod dd ps test wc head tr stty tty nc sort od setsid date") {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", a)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/ash\n", 0o644)
	write(t, dir, "etc/group", "root:x:0:\napp:x:1000:\nwheel:x:10:root,app\naudio:x:29:app\n", 0o644)
	return dir
}

func write(t testing.TB, dir, name, content string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// app is an app that runs a shell script, in the default confinement.
func app(name, layer, script string) poddir.App {
	return poddir.App{
		Name: name, Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/bin"},
		Rootfs: poddir.Rootfs{Layers: []string{layer}}, Capabilities: defaultCaps(),
		Seccomp: poddir.Seccomp{Mode: poddir.SeccompDefault}, NoNewPrivileges: true,
	}
}

func newPod(t testing.TB, apps ...poddir.App) *pod {
	t.Helper()
	p := &pod{t: t, dir: filepath.Join(t.TempDir(), "pod,with:odd names")}
	p.pod = poddir.Pod{Schema: poddir.Schema, UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e", Hostname: "rkt-test", Stage1: "linux", Apps: apps}
	p.rt = poddir.Runtime{Schema: poddir.Schema, Network: poddir.Network{Mode: poddir.NetworkHost}, Remove: true, GraceSeconds: 10}
	if err := os.Mkdir(p.dir, 0o750); err != nil {
		t.Fatal(err)
	}
	return p
}

// prepare writes what core writes and lets the plugin's half do its part.
func (p *pod) prepare() {
	p.t.Helper()
	for name, v := range map[string]any{poddir.PodFile: p.pod, poddir.RuntimeFile: p.rt} {
		if err := poddir.WriteJSON(p.dir, name, v); err != nil {
			p.t.Fatal(err)
		}
	}
	s := new(linux.Stage1)
	ds, err := s.Validate(context.Background(), p.dir)
	if err != nil || len(ds) > 0 {
		p.t.Fatalf("validate: %v %v", ds, err)
	}
	ep, err := s.Run(context.Background(), stage1.RunRequest{PodDir: p.dir, PodUUID: p.pod.UUID, Netns: -1})
	if err != nil {
		p.t.Fatal(err)
	}
	if ep.Program != linux.Supervisor || len(ep.Args) != 1 {
		p.t.Fatalf("plan %+v", ep)
	}
	p.t.Cleanup(func() {
		for _, dir := range p.rt.Cgroup.Dirs { // core's duty, before it removes the pod's
			apps, _ := filepath.Glob(filepath.Join(dir, "app-*"))
			for _, app := range apps {
				if err := unix.Rmdir(app); err != nil && !errors.Is(err, unix.ENOENT) {
					p.t.Error(err)
				}
			}
		}
	})
}

// start prepares the pod and starts its supervisor with the lock donated.
func (p *pod) start() *pod {
	p.t.Helper()
	p.prepare()
	return p.launch()
}

// launch starts the supervisor of a prepared pod.
func (p *pod) launch() *pod { return p.launchOn(nil) }

// launchOn starts it on a terminal, of which it is the session's leader.
func (p *pod) launchOn(tty *os.File) *pod {
	p.t.Helper()
	exe, err := built()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.lock, err = os.Open(p.dir); err != nil {
		p.t.Fatal(err)
	}
	if err := unix.Flock(int(p.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(exe, "supervise")
	fds := "RKT_FDS=lock:3"
	p.cmd.ExtraFiles = []*os.File{p.lock}
	if p.netns != nil {
		p.cmd.ExtraFiles = append(p.cmd.ExtraFiles, p.netns)
		fds += ",netns:4"
	}
	p.cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LEAK=from-the-caller", "GOMAXPROCS=1", fds}, p.env...)
	p.cmd.Dir = p.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if p.stdin != nil {
		p.cmd.Stdin = p.stdin
	}
	if tty != nil {
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.lock.Close() // the supervisor has the description now
	p.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// wait waits for the pod's end and returns its exit status.
func (p *pod) wait() int {
	p.t.Helper()
	timer := time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	err := p.cmd.Wait()
	if ee := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ee) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *pod) exit() (e poddir.PodExit) {
	p.t.Helper()
	if err := poddir.ReadJSON(p.dir, poddir.ExitFile, &e); err != nil {
		p.t.Fatal(err)
	}
	return e
}

func (p *pod) status(app string) (s poddir.AppStatus) {
	p.t.Helper()
	if err := poddir.ReadJSON(filepath.Join(p.dir, poddir.StatusDir), app, &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// await blocks until name exists in the pod directory.
func (p *pod) await(name string) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		if _, err := os.Stat(filepath.Join(p.dir, name)); err == nil {
			return
		}
		if _, err := os.Stat(filepath.Join(p.dir, poddir.ExitFile)); err == nil || time.Now().After(deadline) {
			p.cmd.Process.Kill()
			p.cmd.Wait()
			p.t.Fatalf("%s did not appear; stderr: %s", name, p.stderr.String())
		}
		time.Sleep(2 * time.Millisecond) // a poll of the file system, bounded above
	}
}

// output runs one app and returns what it printed; a non-zero status fails the test.
func output(t testing.TB, apps ...poddir.App) string {
	t.Helper()
	p := newPod(t, apps...).start()
	if code := p.wait(); code != 0 {
		t.Fatalf("exit status %d\nstdout: %s\nstderr: %s", code, p.stdout.String(), p.stderr.String())
	}
	return p.stdout.String()
}

func dump(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
