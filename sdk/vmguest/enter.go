package vmguest

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// process is one enter: this program again, as `enter`, with the host's streams.
type process struct {
	pidfd int // -1 when it has ended
	stdio *stdio
}

func (p *process) signal(sig unix.Signal) error {
	if p.pidfd < 0 {
		return nil
	}
	if err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// Enter starts a command in an app.
func (g *guest) Enter(spec agent.EnterSpec, r *agent.Reporter) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.pod == nil || g.killed:
		return 0, agent.Refuse(agent.CodeState, "pod is not running")
	case g.apps[spec.App] == nil:
		return 0, agent.Refuse(agent.CodeNotFound, "pod has no app %q", spec.App)
	}
	g.last++
	id := g.last
	p := &process{pidfd: -1, stdio: newStdio(&g.hub, agent.Target{Process: id})}
	files, err := p.files(spec)
	defer func() {
		for _, fd := range files {
			unix.Close(int(fd))
		}
	}()
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{
		Dir: "/", Env: []string{"PATH=/bin", "GOMAXPROCS=1"}, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: spec.TTY, PidFD: &p.pidfd},
	}
	tty := "-"
	if spec.TTY {
		tty = "tty"
		attr.Files = []uintptr{files[0], files[0], files[0]}
		if spec.Term != "" {
			attr.Env = append(attr.Env, "TERM="+spec.Term)
		}
	}
	argv := append([]string{"rkt-enter", "enter", podDir, spec.App, tty, "--"}, spec.Command...)
	err = g.children.start(
		func() (int, error) { return syscall.ForkExec("/proc/self/exe", argv, attr) },
		func(ws unix.WaitStatus) { g.left(id, p, ws, r) },
	)
	if err != nil {
		p.stdio.release()
		return 0, fmt.Errorf("start enter: %w", err)
	}
	g.processes[id] = p
	return id, nil
}

// files makes the command's streams: three pipes, or one terminal.
func (p *process) files(spec agent.EnterSpec) (files []uintptr, err error) {
	if spec.TTY {
		master, slave, err := openTerminalPair()
		if err != nil {
			return nil, err
		}
		files = append(files, uintptr(slave))
		if err := unix.IoctlSetWinsize(slave, unix.TIOCSWINSZ, &unix.Winsize{Row: spec.Size.Rows, Col: spec.Size.Cols}); err != nil {
			return files, errors.Join(err, unix.Close(master))
		}
		return files, p.stdio.terminal(master)
	}
	for _, fd := range []agent.FD{agent.Stdin, agent.Stdout, agent.Stderr} {
		theirs, err := p.stdio.pipe(fd)
		if err != nil {
			return files, err
		}
		files = append(files, uintptr(theirs))
	}
	return files, nil
}

// left takes the end of a command. Its output may still be on the way.
func (g *guest) left(id uint64, p *process, ws unix.WaitStatus, r *agent.Reporter) {
	g.mu.Lock()
	unix.Close(p.pidfd)
	p.pidfd = -1
	g.mu.Unlock()
	e := agent.Event{Kind: agent.EventExited, Process: id, Code: ws.ExitStatus()}
	if ws.Signaled() {
		e.Code, e.Signal = 0, int(ws.Signal())
	}
	r.Report(e)
	p.stdio.outputs.Wait()
	p.stdio.release() // of stdin
	g.mu.Lock()
	delete(g.processes, id)
	g.mu.Unlock()
	g.hub.forget(agent.Target{Process: id})
}
