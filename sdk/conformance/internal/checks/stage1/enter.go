package stage1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/reason"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// entered runs the kit's program in an app, as `rkt enter` becomes it. tty: on a terminal of its own.
func entered(ctx context.Context, e *suite.Env, p *pod.Pod, tty bool, words ...string) (lines []string, code int, err error) {
	ep, err := ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.ExecPlan, error) {
		return c.Enter(ctx, &stage1v1.EnterRequest{PodDir: p.Dir, App: "one", Command: append([]string{"/" + testapp.Name}, words...), Tty: tty})
	})
	if err != nil {
		return nil, 0, err
	}
	if err := possible(e, ep); err != nil {
		return nil, 0, err
	}
	cmd, err := pod.Command(e.Plugin.Dir, e.Manifest.Exec, ep, p.Dir, nil)
	if err != nil {
		return nil, 0, err
	}
	var errs bytes.Buffer
	out, theirs, err := os.Pipe()
	cmd.Stdout, cmd.Stderr = theirs, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if tty {
		out, theirs, err = terminal()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
		cmd.SysProcAttr.Setctty = true
	}
	if err != nil {
		return nil, 0, err
	}
	defer out.Close()
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, 0, err
	}
	stop := time.AfterFunc(e.Within(startLimit), func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	text, _ := io.ReadAll(out) // of a terminal whose other side is closed an error is the end
	werr := cmd.Wait()
	if exit := cmd.ProcessState; exit.ExitCode() >= 0 {
		werr = nil
	}
	lines = pod.Lines(string(text))
	if len(lines) == 0 && werr == nil && errs.Len() > 0 {
		werr = fmt.Errorf("it printed: %s", strings.TrimSpace(errs.String()))
	}
	return lines, cmd.ProcessState.ExitCode(), werr
}

// terminal makes a pseudo-terminal.
func terminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

func enterUnknown(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	_, err = ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.ExecPlan, error) {
		return c.Enter(ctx, &stage1v1.EnterRequest{PodDir: p.Dir, App: "no-such-app", Command: []string{"/x"}})
	})
	return answer.Want(err, reason.AppNotFound)
}

func enterStatus(ctx context.Context, e *suite.Env) error {
	a := pod.App("one", "sleep")
	a.User, a.Group = "1000", "1000"
	p, err := running(ctx, e, a)
	if err != nil {
		return err
	}
	lines, code, err := entered(ctx, e, p, false, "report", "in", "exit", "23")
	if err != nil {
		return err
	}
	r := pod.Find(lines, "in")
	if r == nil {
		return fmt.Errorf("the entered command ended with %d and reported nothing", code)
	}
	if code != 23 {
		return fmt.Errorf("the entered command ended with 23, enter with %d", code)
	}
	if !slices.Contains(r.Root, testapp.Name) || !slices.Contains(r.Root, "data") {
		return fmt.Errorf("the entered command's root holds %q, which is not the app's", r.Root)
	}
	if r.UID != 0 || r.GID != 0 {
		return fmt.Errorf("the entered command runs as %d:%d, want root", r.UID, r.GID)
	}
	// A failed command is none of the pod's business.
	if held, err := p.Locked(); err != nil || !held {
		return fmt.Errorf("the pod has ended with an entered command: %w", err)
	}
	return nil
}

func enterTTY(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	lines, code, err := entered(ctx, e, p, true, "report", "tty", "exit", "0")
	if err != nil {
		return err
	}
	r := pod.Find(lines, "tty")
	if r == nil || code != 0 {
		return fmt.Errorf("on a terminal the entered command ended with %d and said %q", code, lines)
	}
	if r.Stdin != "tty" {
		return fmt.Errorf("the entered command's standard input is %q, want a terminal", r.Stdin)
	}
	lines, _, err = entered(ctx, e, p, false, "report", "none", "exit", "0")
	if r = pod.Find(lines, "none"); err != nil || r == nil {
		return fmt.Errorf("without a terminal the entered command said %q: %w", lines, err)
	}
	if r.Stdin == "tty" {
		return errors.New("without a terminal the entered command has one")
	}
	return nil
}

// enterConfined compares what an entered command sees with what the app itself sees.
func enterConfined(ctx context.Context, e *suite.Env) error {
	if err := root(); err != nil {
		return err
	}
	p, err := newPod(e, pod.App("one", "report", "app", "sleep"))
	if err != nil {
		return err
	}
	_ = p.MakeCgroup() // where the host has any: the command has to be in it, too
	if err := launch(ctx, e, p); err != nil {
		return err
	}
	if err := p.Hear(e.Within(startLimit), "waiting"); err != nil {
		return err
	}
	app, err := p.Report(e.Within(startLimit), "app")
	if err != nil {
		return err
	}
	lines, code, err := entered(ctx, e, p, false, "report", "in", "exit", "0")
	if err != nil {
		return err
	}
	in := pod.Find(lines, "in")
	if in == nil {
		return fmt.Errorf("the entered command ended with %d and reported nothing", code)
	}
	for _, k := range []string{"CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp"} {
		if in.Status[k] != app.Status[k] {
			return fmt.Errorf("%s of the entered command is %s, the app's is %s", k, in.Status[k], app.Status[k])
		}
	}
	if err := within(in.Status["CapEff"], app.Status["CapBnd"]); err != nil {
		return fmt.Errorf("the entered command's capabilities: %w", err)
	}
	for name, ns := range app.Namespaces {
		if name == "cgroup" {
			continue // judged by what it shows, below
		}
		if in.Namespaces[name] != ns {
			return fmt.Errorf("the entered command's namespace %s is %s, the app's is %s", name, in.Namespaces[name], ns)
		}
	}
	if in.Cgroup != app.Cgroup {
		return fmt.Errorf("the entered command's cgroups are %q, the app's are %q", in.Cgroup, app.Cgroup)
	}
	if !slices.Equal(in.Root, app.Root) {
		return fmt.Errorf("the entered command's root holds %q, the app's %q", in.Root, app.Root)
	}
	if len(in.FDs) != 3 {
		return fmt.Errorf("the entered command has the descriptors %q", in.FDs)
	}
	return nil
}

// within says whether a set of capabilities, in hexadecimal, is a part of another.
func within(set, of string) error {
	a, err := strconv.ParseUint(set, 16, 64)
	if err != nil {
		return err
	}
	b, err := strconv.ParseUint(of, 16, 64)
	if err != nil {
		return err
	}
	if a&^b != 0 {
		return fmt.Errorf("%016x holds %016x, which is not in %016x", a, a&^b, b)
	}
	return nil
}
