package stage1

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// wrapped puts the test binary in front of the app, as the init of a vendor would be (STAGE1=wrapped).
type wrapped struct {
	Base
	Wrapper
}

func (wrapped) Command(_ *supervise.Pod, app *poddir.App, root string) (*exec.Cmd, error) {
	return &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{"init", root}, app.Argv...), Dir: "."}, nil
}

// initOf runs as that init: its arguments are the app's root and what it shall do.
func initOf(root, behaviour string) (code int) {
	r := OpenReport()
	switch behaviour {
	case "silent":
		return 3
	case "missing":
		return say(r.Exited(NotExecuted(exec.ErrNotFound)), 0)
	case "endless":
		return say(r.Exited(supervise.Exit{Code: 1, Reason: strings.Repeat("\x01", 1<<20)}), 0)
	case "early":
		for _, name := range []string{poddir.ReadyFile, poddir.StatusDir + "/a"} {
			if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
				return say(r.Exited(supervise.Exit{Code: 1, Reason: name + " is there already"}), 0)
			}
		}
		return say(r.Started(), 0)
	case "status alone":
		return say(r.Started(), 7)
	case "signal":
		return say(errors.Join(r.Started(), r.Exited(supervise.Exit{Signal: unix.SIGKILL})), 137)
	case "silent heir", "heir":
		c := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"app", "sleep"}, ExtraFiles: []*os.File{os.NewFile(reportFD, "")}}
		if behaviour == "silent heir" {
			return say(c.Start(), 3)
		}
		return say(errors.Join(c.Start(), r.Started(), r.Exited(supervise.Exit{Code: 5})), 0)
	}
	c := &exec.Cmd{Path: "/app", Args: []string{"app", behaviour}, Dir: "/", Stdin: os.Stdin, SysProcAttr: &syscall.SysProcAttr{Chroot: root}}
	if err := c.Start(); err != nil {
		return say(err, 0)
	}
	err := r.Started()
	_ = c.Wait()
	return say(err, c.ProcessState.ExitCode())
}

func say(err error, code int) int {
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 99
	}
	return code
}

func TestWrapper(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		code      int
		signal    string
		reason    string
		started   bool
	}{
		{"silent", supervise.ExitCannotStart, "", "ended before it ran: exit status 3", false},
		{"missing", 127, "", "executable file not found", false},
		{"endless", 1, "", "\x01", false},
		{"early", 0, "", "", true},
		{"status alone", 7, "", "", true},
		{"signal", 137, "SIGKILL", "", true},
		{"heir", 5, "", "", true}, // who has the socket, and does not end
		{"silent heir", supervise.ExitCannotStart, "", "exit status 3", false},
		{"seven", 7, "", "", true},
		{"descriptors", 0, "", "", true},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			p := startPodOf(t, "wrapped", poddir.App{Name: "a", Argv: []string{c.behaviour}})
			_ = p.cmd.Wait()
			if code := p.cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit status %d, want %d\n%s", code, c.code, p.stderr.String())
			}
			all, err := poddir.ReadStatus(p.dir)
			s := all["a"]
			if err != nil || s.Code != c.code || s.Signal != c.signal || !strings.Contains(s.Reason, c.reason) || (s.Reason == "") != (c.reason == "") || s.Started.IsZero() == c.started {
				t.Errorf("status %+v, %v", s, err)
			}
		})
	}
}

func TestNotExecuted(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{exec.ErrNotFound, 127},
		{unix.ENOENT, 127},
		{unix.EACCES, 126},
		{unix.ENOEXEC, 126},
		{errors.New("mount /proc: no"), supervise.ExitCannotStart},
	} {
		if e := NotExecuted(c.err); e.Code != c.code || e.Reason != c.err.Error() {
			t.Errorf("%v: %+v, want code %d", c.err, e, c.code)
		}
	}
}
