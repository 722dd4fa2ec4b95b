package execute

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
)

// Become replaces the process, so this binary plays three parts: the test, the rkt that becomes something, and the
// program that it becomes.
const partEnv = "RKT_TEST_EXECUTE_PART"

// seen is what the program found.
type seen struct {
	Args []string
	Env  []string
	Dir  string
	FDs  []int // open ones above 2
	Pid  int
}

// order is what rkt is told to become.
type order struct {
	Program string
	Args    []string
	Env     map[string]string
	KeepFDs []string
	Cwd     string
	Listen  int // so many sockets of systemd, from 3 on
	PodDir  string
	Dir     string // the plugin's
}

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "supervisor":
		report()
	case os.Getenv(partEnv) == "rkt":
		if err := become(); err != nil {
			fmt.Println("error:", err)
			os.Exit(3)
		}
	case os.Getenv(partEnv) == "detached":
		detachedPart()
	default:
		os.Exit(m.Run())
	}
	os.Exit(0)
}

func report() {
	s := seen{Args: os.Args[1:], Env: os.Environ(), Pid: os.Getpid()}
	s.Dir, _ = os.Getwd()
	s.FDs = openFDs()
	json.NewEncoder(os.Stdout).Encode(s)
}

// openFDs asks for each number: a listing of /proc would show the runtime's own, too, which are close-on-exec.
func openFDs() []int {
	var out []int
	for fd := 3; fd < 64; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			out = append(out, fd)
		}
	}
	return out
}

func become() error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	if o.Listen > 0 {
		os.Setenv("LISTEN_FDS", strconv.Itoa(o.Listen))
		os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	if err := SealDescriptors(); err != nil {
		return err
	}
	if left := openFDs(); len(left) > 0 {
		return fmt.Errorf("descriptors %v would reach plugins", left)
	}
	e := &plugin.Entry{Name: "p", Dir: o.Dir, Manifest: &manifest.Manifest{Exec: "rkt-p", Programs: []string{"supervisor", "absent"}}}
	lock, err := os.Open("/")
	if err != nil {
		return err
	}
	plan := &stage1v1.ExecPlan{Program: o.Program, Args: o.Args, Env: o.Env, KeepFds: o.KeepFDs, Cwd: o.Cwd}
	err = Become(e, plan, o.PodDir, []plugin.FD{{Name: launch.FDLock, File: lock}})
	if left := openFDs(); len(left) > 0 {
		err = fmt.Errorf("%w; and descriptors %v would reach plugins", err, left)
	}
	return err
}

// run returns what the program saw, or what rkt said.
func run(t *testing.T, o order, extra []*os.File, env ...string) (*seen, string, int) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(exe, filepath.Join(o.Dir, "supervisor")); err != nil {
			t.Fatal(err)
		}
	}
	if o.PodDir == "" {
		o.PodDir = t.TempDir()
	}
	in, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append([]string{partEnv + "=rkt", "SECRET=of the caller", "HOME=/root"}, env...)
	c.Stdin = strings.NewReader(string(in))
	c.Stderr = os.Stderr
	c.ExtraFiles = extra
	out, err := c.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var s seen
	if json.Unmarshal(out, &s) != nil {
		return nil, string(out), 0
	}
	return &s, "", c.Process.Pid
}

func TestBecome(t *testing.T) {
	o := order{Program: "supervisor", Args: []string{"a", "b c"}, Env: map[string]string{"OWN": "1", "PATH": "/only", "TERM": "dumb"}, KeepFDs: []string{launch.FDLock, launch.FDNetns}, PodDir: t.TempDir()}
	s, text, pid := run(t, o, nil, "NOTIFY_SOCKET=/n", "TERM=xterm", "LISTEN_FDS=3", "LISTEN_PID=1", "LD_PRELOAD=/evil")
	if s == nil {
		t.Fatal(text)
	}
	if s.Pid != pid {
		t.Errorf("it runs as %d, not as %d: systemd would lose it", s.Pid, pid)
	}
	if !slices.Equal(s.Args, o.Args) {
		t.Errorf("args %q", s.Args)
	}
	if dir, err := filepath.EvalSymlinks(o.PodDir); err != nil || s.Dir != dir {
		t.Errorf("it runs in %s, not in %s, %v", s.Dir, dir, err)
	}
	if len(s.FDs) != 1 {
		t.Fatalf("descriptors %v, want the lock alone", s.FDs)
	}
	// Of systemd's variables LISTEN_* were another process's.
	want := []string{"NOTIFY_SOCKET=/n", "OWN=1", "PATH=/only", "RKT_FDS=lock:" + strconv.Itoa(s.FDs[0]), "TERM=dumb"}
	if !slices.Equal(s.Env, want) {
		t.Errorf("environment %q\nwant %q", s.Env, want)
	}
}

// Sockets of systemd stay, at their numbers; what else the caller left open does not.
func TestBecomeActivated(t *testing.T) {
	var extra []*os.File
	for range 4 { // descriptors 3 to 6
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		extra = append(extra, f)
	}
	s, text, pid := run(t, order{Program: "supervisor", Listen: 2}, extra)
	if s == nil {
		t.Fatal(text)
	}
	if !slices.Equal(s.FDs, []int{3, 4}) {
		t.Errorf("descriptors %v, want 3 and 4", s.FDs)
	}
	for _, kv := range []string{"LISTEN_FDS=2", "LISTEN_PID=" + strconv.Itoa(pid), "RKT_FDS="} {
		if !slices.Contains(s.Env, kv) {
			t.Errorf("no %s in %q", kv, s.Env)
		}
	}
	if s, text, _ = run(t, order{Program: "supervisor"}, extra); s == nil || len(s.FDs) != 0 {
		t.Errorf("%+v %s, want no descriptors", s, text)
	}
}

func TestBecomeRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		o    order
		want string
	}{
		{"a program that is not the plugin's", order{Program: "../../bin/sh"}, "names it neither as exec nor in programs"},
		{"a file that is not there", order{Program: "absent", KeepFDs: []string{launch.FDLock}}, "no such file"},
		{"exec by default", order{KeepFDs: []string{launch.FDLock}}, "rkt-p: no such file"},
		{"its own RKT_FDS", order{Program: "supervisor", Env: map[string]string{launch.EnvFDs: "lock:0"}}, `"RKT_FDS" of its plan cannot be set`},
		{"a name with =", order{Program: "supervisor", Env: map[string]string{"A=B": ""}}, `"A=B" of its plan cannot be set`},
		{"no name", order{Program: "supervisor", Env: map[string]string{"": "x"}}, `"" of its plan cannot be set`},
		{"a NUL", order{Program: "supervisor", Env: map[string]string{"A": "\x00"}}, `"A" of its plan cannot be set`},
		{"a descriptor twice", order{Program: "supervisor", KeepFDs: []string{"lock", "lock"}}, `keeps descriptor "lock" twice`},
		{"no such directory", order{Program: "supervisor", Cwd: "/does/not/exist"}, "no such file or directory"},
	} {
		s, text, _ := run(t, c.o, nil)
		if s != nil || !strings.Contains(text, c.want) || strings.Contains(text, "would reach plugins") {
			t.Errorf("%s: %+v %q, want %q", c.name, s, text, c.want)
		}
	}
}

// detachedPart is the background process: told on its standard input what to do.
func detachedPart() {
	var what string
	if err := json.NewDecoder(os.Stdin).Decode(&what); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("log line")
	switch what {
	case "ready", "ready, then gone":
		fmt.Println(os.Getpid())
		notify("STATUS=x\nREADY=1\n")
	case "fail":
		fmt.Fprintln(os.Stderr, "run: no such image")
		os.Exit(66)
	}
	if what == "ready" || what == "hang" {
		io.Copy(io.Discard, os.Stdin)
		unix.Pause()
	}
}

func notify(s string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		err = unix.Sendto(fd, []byte(s), 0, &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
