package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
	"github.com/rkt/rkt/v2/sdk/vmhost/enter"
)

// The test binary plays every part: the supervisor, the cage, the VMM with a guest in it, and `rkt enter`.
func TestMain(m *testing.M) {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "supervise":
		os.Exit(supervise.Run(New(fakeVMM{})))
	case cage.Arg:
		fmt.Fprintln(os.Stderr, cage.Main())
		os.Exit(254)
	case "enter":
		os.Exit(enter.Main(os.Args[1:]))
	case "guest":
		os.Exit(guestMain(os.Args[2]))
	}
	os.Exit(m.Run())
}

// fakeVMM runs the guest's agent as a process of the host.
type fakeVMM struct{}

func (fakeVMM) Traits() vmhost.Traits {
	return vmhost.Traits{Name: "fake", Serial: true, Serials: true, Disks: 9}
}
func (fakeVMM) Find(context.Context, *vmhost.Config) (string, string, error) {
	return os.Args[0], "", nil
}
func (fakeVMM) Fits(*vmhost.Machine) error { return nil }
func (fakeVMM) Command(l *vmhost.Launch) vmhost.Command {
	return vmhost.Command{Args: []string{l.Program, "guest", strconv.Itoa(l.Control)}}
}

// guest does what the apps' commands say: "exit N", "print TEXT", "cat", "hang", "die" (the whole machine).
type guest struct {
	mu     sync.Mutex
	report *agent.Reporter
	spec   *agent.PodSpec
	out    map[string]chan *agent.Stream
	in     map[string]chan *agent.Stream
	ended  map[string]bool
}

func guestMain(fd string) int {
	n, _ := strconv.Atoi(fd)
	if err := unix.SetNonblock(n, true); err != nil {
		return 9
	}
	g := &guest{out: map[string]chan *agent.Stream{}, in: map[string]chan *agent.Stream{}, ended: map[string]bool{}}
	err := agent.Serve(context.Background(), os.NewFile(uintptr(n), "control"), g)
	fmt.Fprintln(os.Stderr, "guest:", err)
	return 0
}

func (g *guest) Hello() agent.Hello { return agent.Hello{Build: "fake"} }

func (g *guest) stream(m map[string]chan *agent.Stream, app string) chan *agent.Stream {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m[app] == nil {
		m[app] = make(chan *agent.Stream, 1)
	}
	return m[app]
}

func (g *guest) Stream(h agent.Header, s *agent.Stream) {
	switch h.FD {
	case agent.Stdin:
		g.stream(g.in, h.App+strconv.FormatUint(h.Process, 10)) <- s
	case agent.Stdout:
		g.stream(g.out, h.App+strconv.FormatUint(h.Process, 10)) <- s
	default:
		s.Close()
	}
}

func (g *guest) Start(_ context.Context, spec *agent.PodSpec, r *agent.Reporter) error {
	g.report, g.spec = r, spec
	if spec.Pod.Hostname == "refuse" {
		return agent.Refuse(agent.CodeFailed, "this guest will not")
	}
	for i := range spec.Pod.Apps {
		a := &spec.Pod.Apps[i]
		r.Report(agent.Event{Kind: agent.EventStarted, App: a.Name, Pid: 2})
		go g.run(a)
	}
	r.Report(agent.Event{Kind: agent.EventUp})
	return nil
}

func (g *guest) run(a *poddir.App) {
	out := <-g.stream(g.out, a.Name+"0")
	code := 0
	switch word, rest, _ := strings.Cut(strings.Join(a.Argv, " "), " "); word {
	case "exit":
		code, _ = strconv.Atoi(rest)
	case "print":
		fmt.Fprintln(out, rest)
	case "look":
		_, err := os.Stat("/etc/passwd")
		names, _ := os.ReadDir("/dev")
		fmt.Fprintln(out, os.Getuid() > 1<<30, os.Getpid(), err != nil, len(names))
	case "cat":
		_, _ = io.Copy(out, <-g.stream(g.in, a.Name+"0"))
	case "hang":
		g.stream(g.out, a.Name+"0") <- out // for Kill
		return
	case "die":
		_, _ = io.Copy(io.Discard, <-g.stream(g.in, a.Name+"0")) // its end comes when the host knows that the pod is up
		os.Exit(1)
	}
	out.Close()
	g.exit(a.Name, agent.Event{Code: code})
}

func (g *guest) exit(app string, e agent.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended[app] {
		g.ended[app] = true
		e.Kind, e.App = agent.EventExited, app
		g.report.Report(e)
	}
}

func (g *guest) Signal(t agent.Target, sig int) error {
	if g.spec.Pod.Hostname != "deaf" && t.Process == 0 {
		g.exit(t.App, agent.Event{Signal: sig})
	}
	return nil
}

func (g *guest) Kill(context.Context) error {
	for i := range g.spec.Pod.Apps {
		app := g.spec.Pod.Apps[i].Name
		g.exit(app, agent.Event{Signal: 9})
		select {
		case s := <-g.stream(g.out, app+"0"):
			s.Close()
		default:
		}
	}
	return nil
}

func (g *guest) Enter(e agent.EnterSpec, r *agent.Reporter) (uint64, error) {
	go func() {
		in, out := <-g.stream(g.in, "5"), <-g.stream(g.out, "5")
		fmt.Fprintf(out, "%s %q tty=%v\n", e.App, e.Command, e.TTY)
		_, _ = io.Copy(out, in)
		out.Close()
		r.Report(agent.Event{Kind: agent.EventExited, Process: 5, Code: 21})
	}()
	return 5, nil
}

// pod is a pod directory as core and the gRPC half leave it, with its supervisor.
type pod struct {
	t              *testing.T
	dir            string
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	netns          *os.File
}

func newPod(t *testing.T, hostname string, commands ...string) *pod {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces, mounts")
	}
	p := &pod{t: t, dir: filepath.Join(t.TempDir(), "pod")}
	desc := poddir.Pod{Schema: poddir.Schema, UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e", Hostname: hostname}
	for i, c := range commands {
		a := poddir.App{Name: "app" + strconv.Itoa(i), Argv: strings.Fields(c), Env: []string{}}
		if c == "cat" || c == "die" {
			a.Stdin = poddir.StdinStream
		}
		desc.Apps = append(desc.Apps, a)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := vmhost.ParseConfig([]byte(`{"bootSeconds":20}`))
	if err != nil {
		t.Fatal(err)
	}
	m := &vmhost.Machine{Schema: vmhost.Schema, UUID: desc.UUID, Program: exe, Kernel: "/dev/null", Initramfs: "/dev/null", Config: cfg, Size: vmhost.Size{MemoryMiB: 384, CPUs: 1}, Rigid: "it is a brick"}
	m.Spec.Pod = desc
	rt := poddir.Runtime{Schema: poddir.Schema, Network: poddir.Network{Mode: poddir.NetworkNone}, GraceSeconds: 1}
	if err := os.MkdirAll(filepath.Join(p.dir, poddir.Stage1Dir, vmhost.CageDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{poddir.WriteJSON(p.dir, poddir.PodFile, desc), poddir.WriteJSON(p.dir, poddir.RuntimeFile, rt), m.Write(p.dir)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.netns = newNetns(t)
	return p
}

func newNetns(t *testing.T) *os.File {
	t.Helper()
	type result struct {
		f   *os.File
		err error
	}
	c := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			c <- result{nil, err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		c <- result{f, err}
	}()
	r := <-c
	if r.err != nil {
		t.Skip(r.err)
	}
	t.Cleanup(func() { r.f.Close() })
	return r.f
}

func (p *pod) start(stdin io.Reader) {
	p.t.Helper()
	lock, err := os.Open(p.dir)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer lock.Close()
	p.cmd = exec.Command(os.Args[0], "supervise")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.stdout, &p.stderr
	p.cmd.ExtraFiles = []*os.File{lock, p.netns}
	p.cmd.Env = []string{launch.EnvFDs + "=lock:3,netns:4"}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
}

func (p *pod) wait() int {
	p.t.Helper()
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		p.t.Fatalf("the supervisor does not end\n%s", p.stderr.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// vmm waits until the pod is ready and returns the pid of its VMM.
func (p *pod) vmm() int {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(p.dir, poddir.ReadyFile)); err == nil {
			s, err := poddir.ReadStatus(p.dir)
			if err != nil {
				p.t.Fatal(err)
			}
			return s["app0"].Pid
		}
		if _, err := os.Stat(filepath.Join(p.dir, poddir.ExitFile)); err == nil {
			break
		}
	}
	p.t.Fatalf("the pod does not start\n%s", p.stderr.String())
	return 0
}

func TestLife(t *testing.T) {
	for _, c := range []struct {
		name, hostname string
		commands       []string
		stdin          string
		code           int
		stdout, stderr string
	}{
		{"exit", "h", []string{"exit 7"}, "", 7, "", ""},
		{"output", "h", []string{"print from one", "print from two"}, "", 0, "from one", ""},
		{"first failure ends the others", "h", []string{"hang", "exit 3"}, "", 3, "", ""},
		{"input", "h", []string{"cat"}, "some input\n", 0, "some input\n", ""},
		{"the machine dies", "h", []string{"die"}, "", 137, "", "virtual machine has ended"},
		{"the guest refuses", "refuse", []string{"exit 0"}, "", 254, "", "this guest will not"},
		{"cage", "h", []string{"look"}, "", 0, "true 1 true 4\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPod(t, c.hostname, c.commands...)
			p.start(strings.NewReader(c.stdin))
			if code := p.wait(); code != c.code || !strings.Contains(p.stdout.String(), c.stdout) || !strings.Contains(p.stderr.String(), c.stderr) {
				t.Errorf("code %d, output %q, %q; want %d, %q, %q", code, p.stdout.String(), p.stderr.String(), c.code, c.stdout, c.stderr)
			}
			if left, _ := filepath.Glob(filepath.Join(p.dir, poddir.Stage1Dir, "*")); len(left) != 2 { // cage, machine.json
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func (p *pod) status(app string) poddir.AppStatus {
	p.t.Helper()
	s, err := poddir.ReadStatus(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	return s[app]
}

func TestVMMKilled(t *testing.T) {
	p := newPod(t, "h", "hang", "hang")
	p.start(nil)
	if err := unix.Kill(p.vmm(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != 137 {
		t.Errorf("code %d\n%s", code, p.stderr.String())
	}
	for _, app := range []string{"app0", "app1"} {
		if s := p.status(app); s.State != poddir.AppExited || s.Signal != "SIGKILL" {
			t.Errorf("%s: %+v", app, s)
		}
	}
}

// However the supervisor ends, the machine ends with it.
func TestSupervisorKilled(t *testing.T) {
	p := newPod(t, "h", "hang")
	p.start(nil)
	fd, err := unix.PidfdOpen(p.vmm(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000); n != 1 || err != nil {
		t.Errorf("the VMM lives on: %v", err)
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		hostname string
		code     int
	}{{"h", 0}, {"deaf", 137}} {
		p := newPod(t, c.hostname, "hang")
		p.start(nil)
		p.vmm()
		if err := p.cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code := p.wait(); code != c.code {
			t.Errorf("guest %s: code %d, want %d\n%s", c.hostname, code, c.code, p.stderr.String())
		}
	}
}

func TestEnter(t *testing.T) {
	p := newPod(t, "h", "hang")
	p.start(nil)
	p.vmm()
	cmd := exec.Command(os.Args[0], "enter", p.dir, "app0", "-", "--", "ls", "-l")
	cmd.Stdin = strings.NewReader("typed\n")
	out, _ := cmd.CombinedOutput()
	if want := "app0 [\"ls\" \"-l\"] tty=false\ntyped\n"; string(out) != want || cmd.ProcessState.ExitCode() != 21 {
		t.Errorf("code %d, %q, want 21, %q", cmd.ProcessState.ExitCode(), out, want)
	}
	out, err := exec.Command(os.Args[0], "enter", p.dir, "other", "-", "--").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `no app "other"`) {
		t.Errorf("an app that is not there: %q, %v", out, err)
	}
}

func TestConsole(t *testing.T) {
	var c console
	fmt.Fprint(&c, "\x1bc\x1b[?7lSeaBIOS\r\nBooting from ROM..\x1b[2J[    1.0] Kernel panic \x07\r\n")
	if got := c.tail(); got != "[    1.0] Kernel panic ?" {
		t.Errorf("%q", got)
	}
	for range 10_000 {
		fmt.Fprintln(&c, strings.Repeat("x", 100))
	}
	if len(c.buf) > consoleSize {
		t.Errorf("%d bytes are kept", len(c.buf))
	}
	if b, _ := json.Marshal(c.tail()); len(b) > 2000 {
		t.Errorf("%d bytes are shown", len(b))
	}
}
