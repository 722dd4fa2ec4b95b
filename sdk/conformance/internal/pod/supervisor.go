package pod

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
)

// ErrEnded says that the supervisor ended before what was waited for.
var ErrEnded = errors.New("the supervisor has ended")

// Start makes the plan's program a child, as core becomes it: with the descriptors that the plan keeps and the
// environment that core passes on. The kit keeps none of the lock.
func (p *Pod) Start(dir, exe string, plan *stage1v1.ExecPlan) error {
	cmd, err := Command(dir, exe, plan, p.Dir, p.fds())
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, w, err := newStream()
	if err != nil {
		return err
	}
	defer w.Close()
	cmd.Stdout, cmd.Stderr = w, w
	in, inw, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	p.cmd, p.out, p.stdin, p.exited = cmd, out, inw, make(chan struct{})
	go func() {
		_ = cmd.Wait()
		// What it printed last may still be in the pipe, whose end comes at once unless it has left somebody behind.
		select {
		case <-out.done:
		case <-time.After(time.Second):
		}
		close(p.exited)
	}()
	return p.Unlock()
}

func (p *Pod) fds() map[string]*os.File {
	fds := map[string]*os.File{launch.FDLock: p.lock}
	if p.netns != nil {
		fds[launch.FDNetns] = p.netns
	}
	return fds
}

// Command is a plan's program as core would become it.
func Command(dir, exe string, plan *stage1v1.ExecPlan, podDir string, fds map[string]*os.File) (*exec.Cmd, error) {
	program := plan.GetProgram()
	if program == "" {
		program = exe
	}
	path := filepath.Join(dir, program)
	cwd := plan.GetCwd()
	if cwd == "" {
		cwd = podDir
	}
	cmd := &exec.Cmd{Path: path, Args: append([]string{path}, plan.GetArgs()...), Dir: cwd}
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "xterm"}
	maps.Copy(env, plan.GetEnv())
	kept, names := launch.FDs{}, []string{}
	for _, name := range plan.GetKeepFds() {
		if f := fds[name]; f != nil {
			kept[name] = 3 + len(cmd.ExtraFiles)
			names, cmd.ExtraFiles = append(names, name), append(cmd.ExtraFiles, f)
		}
	}
	env[launch.EnvFDs] = launch.Format(names, kept)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	return cmd, nil
}

// Pid is the supervisor's.
func (p *Pod) Pid() int { return p.cmd.Process.Pid }

// Signal sends the supervisor a signal.
func (p *Pod) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill ends the supervisor with SIGKILL.
func (p *Pod) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Type writes to the supervisor's standard input.
func (p *Pod) Type(s string) error {
	_, err := p.stdin.Write([]byte(s))
	return err
}

// CloseInput ends it.
func (p *Pod) CloseInput() error { return p.stdin.Close() }

// Wait waits for the supervisor's end and returns its exit status, -1 when a signal ended it.
func (p *Pod) Wait(limit time.Duration) (int, error) {
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("the supervisor has not ended after %v%s", limit, p.said())
	}
}

// Until waits for something of a running pod.
func (p *Pod) Until(limit time.Duration, what string, true func() bool) error {
	deadline := time.Now().Add(limit)
	for {
		if true() {
			return nil
		}
		select {
		case <-p.exited:
			if true() {
				return nil
			}
			return fmt.Errorf("%s never came: %w (%v)%s", what, ErrEnded, p.cmd.ProcessState, p.said())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not come within %v%s", what, limit, p.said())
		}
	}
}

// Ready waits until every app has been started.
func (p *Pod) Ready(limit time.Duration) error {
	return p.Until(limit, "the file ready", func() bool { return p.Has(poddir.ReadyFile) })
}

// Status is an app's; nil when there is none yet.
func (p *Pod) Status(app string) *poddir.AppStatus {
	all, err := poddir.ReadStatus(p.Dir)
	if err != nil {
		return nil
	}
	s, ok := all[app]
	if !ok {
		return nil
	}
	return &s
}

// Exit is the supervisor's last word.
func (p *Pod) Exit() (*poddir.PodExit, error) {
	var e poddir.PodExit
	return &e, poddir.ReadJSON(p.Dir, poddir.ExitFile, &e)
}

// said is for messages.
func (p *Pod) said() string {
	text := strings.TrimSpace(p.out.text())
	if text == "" {
		return ""
	}
	const most = 400
	if len(text) > most {
		text = "..." + text[len(text)-most:]
	}
	return "; it printed: " + text
}

// Said is for messages.
func (p *Pod) Said() string { return p.said() }
