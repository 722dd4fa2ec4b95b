package supervise

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]unix.Signal{
		"": unix.SIGTERM, "SIGINT": unix.SIGINT, "int": unix.SIGINT, "9": unix.SIGKILL, "SIGRTMIN+3": 37, "RTMAX-1": 63, "SIGRTMIN": 34, "SIGWINCH": unix.SIGWINCH,
	} {
		if got, err := ParseSignal(s); err != nil || got != want {
			t.Errorf("ParseSignal(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"0", "-1", "65", "SIGNOPE", "SIGRTMIN+99", "SIGRTMIN+x", "RTMAX+1", "TERM "} {
		if got, err := ParseSignal(s); err == nil {
			t.Errorf("ParseSignal(%q) = %d", s, got)
		}
	}
}

// script is a Flavor whose apps do what the test says.
type script struct {
	mu      sync.Mutex
	r       *Reporter
	start   func(f *script, r *Reporter) error
	signals []string
	obey    map[string]Exit // what an app does on a signal
	killed  int
}

func (f *script) Start(_ *Pod, r *Reporter) error { f.r = r; return f.start(f, r) }

func (f *script) Signal(app string, sig unix.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signals = append(f.signals, app+":"+unix.SignalName(sig))
	if e, ok := f.obey[app]; ok {
		go f.r.Exited(app, e)
	}
	return nil
}

func (f *script) Kill() error { f.killed++; return nil }

// run runs the flavor in a process of its own: Run changes the working directory and takes signals.
func run(t *testing.T, name string) (poddir.PodExit, int, string) {
	t.Helper()
	dir := t.TempDir()
	p := poddir.Pod{Schema: poddir.Schema, Apps: []poddir.App{{Name: "a"}, {Name: "b", StopSignal: "INT"}}}
	for name, v := range map[string]any{poddir.PodFile: p, poddir.RuntimeFile: poddir.Runtime{Schema: poddir.Schema, GraceSeconds: 1}} {
		if err := poddir.WriteJSON(dir, name, v); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestSupervisor$")
	cmd.Env = append(os.Environ(), "RKT_TEST_SCRIPT="+name, "RKT_FDS=lock:3")
	cmd.ExtraFiles = []*os.File{lock}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err = cmd.Run()
	if ee := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	var exit poddir.PodExit
	if err := poddir.ReadJSON(dir, poddir.ExitFile, &exit); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	st, err := poddir.ReadStatus(dir)
	if err != nil {
		t.Fatal(err)
	}
	for app, s := range st {
		if s.State != poddir.AppExited {
			t.Errorf("status of %s is %+v", app, s)
		}
	}
	for _, left := range []string{poddir.ControlSock} {
		if _, err := os.Lstat(filepath.Join(dir, left)); err == nil {
			t.Errorf("%s is left", left)
		}
	}
	return exit, cmd.ProcessState.ExitCode(), stderr.String()
}

// scripts are the pods of TestRun, by name.
func scripts() map[string]*script {
	both := func(f *script, r *Reporter) { r.Started("a", 1); r.Started("b", 2) }
	term := func() { _ = unix.Kill(os.Getpid(), unix.SIGTERM) }
	return map[string]*script{
		"all succeed": {start: func(f *script, r *Reporter) error {
			both(f, r)
			go func() { r.Exited("a", Exit{}); r.Exited("b", Exit{}) }()
			return nil
		}},
		"one fails": {obey: map[string]Exit{"b": {Signal: unix.SIGINT}}, start: func(f *script, r *Reporter) error {
			both(f, r)
			go r.Exited("a", Exit{Code: 5})
			return nil
		}},
		"one fails, the other will not go": {start: func(f *script, r *Reporter) error {
			both(f, r)
			go r.Exited("a", Exit{Code: 5})
			return nil
		}},
		"cannot be executed": {obey: map[string]Exit{"b": {}}, start: func(f *script, r *Reporter) error {
			r.Exited("a", Exit{Code: 127, Reason: "no such file"})
			r.Started("b", 2)
			return nil
		}},
		"cannot start": {start: func(*script, *Reporter) error { return errors.New("no room") }},
		"stop": {obey: map[string]Exit{"a": {Signal: unix.SIGTERM}, "b": {Code: 130}}, start: func(f *script, r *Reporter) error {
			both(f, r)
			term()
			return nil
		}},
		"stop, killed": {obey: map[string]Exit{"a": {}}, start: func(f *script, r *Reporter) error {
			both(f, r)
			term()
			return nil
		}},
		"stop while starting": {start: func(f *script, r *Reporter) error {
			term()
			select {}
		}},
		"reported twice": {start: func(f *script, r *Reporter) error {
			both(f, r)
			go func() { r.Exited("a", Exit{}); r.Exited("a", Exit{Code: 9}); r.Exited("b", Exit{}) }()
			return nil
		}},
	}
}

// TestSupervisor is the process of TestRun.
func TestSupervisor(t *testing.T) {
	f := scripts()[os.Getenv("RKT_TEST_SCRIPT")]
	if f == nil {
		t.Skip("run by TestRun")
	}
	code := Run(f)
	if f.killed != 1 {
		io.WriteString(os.Stderr, "Kill was not called once\n")
		code = 99
	}
	f.mu.Lock()
	io.WriteString(os.Stderr, "signals "+strings.Join(f.signals, " ")+"\n")
	os.Exit(code)
}

func TestRun(t *testing.T) {
	for _, tc := range []struct {
		name    string
		code    int
		app     string
		stopped bool
		stderr  string
	}{
		{"all succeed", 0, "", false, "signals \n"},
		{"one fails", 5, "a", false, "signals b:SIGINT\n"},
		{"one fails, the other will not go", 5, "a", false, "signals b:SIGINT\n"},
		{"cannot be executed", 127, "a", false, `app "a": no such file`},
		{"cannot start", 254, "", false, "start pod: no room"},
		{"stop", 0, "", true, ":SIG"},
		{"stop, killed", 137, "b", true, ":SIG"},
		{"stop while starting", 0, "", true, "signals \n"},
		{"reported twice", 0, "", false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			exit, code, stderr := run(t, tc.name)
			if exit.Code != tc.code || code != tc.code || exit.App != tc.app || exit.Stopped != tc.stopped || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit %+v, status %d, want %+v; stderr %q", exit, code, tc, stderr)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for fds, want := range map[string]string{"": "by hand", "netns:4": "by hand", "lock:x": "parse", "lock:97": "enter pod directory"} {
		t.Setenv("RKT_FDS", fds)
		if _, err := Open(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("RKT_FDS=%q: %v", fds, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"op":"stop","force":true}`))
	f.Add([]byte(`{"op":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r := &Reporter{events: make(chan event, 1), done: make(chan struct{})}
		if reply := r.answer(line); reply.OK != (len(r.events) == 1) || reply.OK == (reply.Error != "") {
			t.Errorf("%q: %+v", line, reply)
		}
	})
}
