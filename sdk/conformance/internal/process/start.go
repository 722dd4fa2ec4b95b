package process

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/proto/launch"
)

// Process is a plugin that was started.
type Process struct {
	Pid       int
	Conn      *grpc.ClientConn // nil without a handshake
	Hello     Hello
	SocketDir string

	proc     *os.Process
	exited   chan struct{}
	state    *os.ProcessState // after exited
	lifeline *os.File
	stdout   *output
	stderr   *output
	cut      sync.Once
	closing  sync.Once
	closed   error
}

// Seal sets close-on-exec on what this process was started with beside standard input, output and error, as core does:
// nothing of a careless caller's may reach a plugin or a pod.
func Seal() error {
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil { // since Linux 5.11
		return os.NewSyscallError("close_range", err)
	}
	return nil
}

// Spawn starts the plugin and does not wait for its handshake.
func Spawn(o Options) (*Process, error) {
	binary, err := os.Open(filepath.Join(o.Dir, o.Exec))
	if err != nil {
		return nil, err
	}
	defer binary.Close()
	in, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p := &Process{SocketDir: o.SocketDir, lifeline: lifeline, exited: make(chan struct{})}
	var outw, errw *os.File
	if p.stdout, outw, err = newOutput(); err == nil {
		p.stderr, errw, err = newOutput()
	}
	if err != nil {
		return nil, err
	}
	defer outw.Close()
	defer errw.Close()
	cmd := &exec.Cmd{
		Args: []string{o.Exec}, Dir: "/", Env: environ(o), Stdin: in, Stdout: outw, Stderr: errw,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	top := 16
	for _, fd := range o.FDs {
		cmd.ExtraFiles = append(cmd.ExtraFiles, fd.File)
		top = max(top, int(fd.File.Fd()))
	}
	for _, f := range []*os.File{in, outw, errw} {
		top = max(top, int(f.Fd()))
	}
	// Above all that os/exec moves about in the child.
	if binary, err = script(binary, cmd); err != nil {
		return nil, fmt.Errorf("execute %s: %w", o.Exec, err)
	}
	defer binary.Close()
	exe, err := unix.FcntlInt(binary.Fd(), unix.F_DUPFD_CLOEXEC, max(top, int(binary.Fd()))+len(cmd.ExtraFiles)+16)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(exe)
	cmd.Path = "/proc/self/fd/" + strconv.Itoa(exe)
	if uid := User(o.Kind); uid != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), Groups: []uint32{}}
	}
	if o.NoNetwork && os.Geteuid() == 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
	}
	if err := fork(cmd, o); err != nil {
		lifeline.Close()
		return nil, fmt.Errorf("execute %s: %w", binary.Name(), err)
	}
	p.proc, p.Pid = cmd.Process, cmd.Process.Pid
	go func() {
		p.state, _ = cmd.Process.Wait()
		close(p.exited)
	}()
	return p, nil
}

// script has a script's interpreter executed in its place, with the script as a further descriptor, as core does. It
// returns what is to be executed.
func script(program *os.File, cmd *exec.Cmd) (*os.File, error) {
	path, arg, err := launch.Script(program)
	if err != nil || path == "" {
		return program, err
	}
	interpreter, err := os.Open(path)
	if err != nil {
		return program, err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, program)
	cmd.Args = []string{path}
	if arg != "" {
		cmd.Args = append(cmd.Args, arg)
	}
	cmd.Args = append(cmd.Args, "/proc/self/fd/"+strconv.Itoa(2+len(cmd.ExtraFiles)))
	return interpreter, nil
}

// environ is the whole environment: the contract's variables and what the check adds. There is no PATH and no HOME.
func environ(o Options) []string {
	versions := o.Versions
	if versions == "" {
		versions = strconv.Itoa(launch.Protocol)
	}
	env := []string{"PLUGIN_PROTOCOL_VERSIONS=" + versions, "PLUGIN_UNIX_SOCKET_DIR=" + o.SocketDir}
	if !o.NoCookie {
		env = append(env, launch.CookieKey+"="+launch.CookieValue)
	}
	if len(o.FDs) > 0 {
		fds, names := launch.FDs{}, []string{}
		for i, fd := range o.FDs {
			fds[fd.Name] = 3 + i
			names = append(names, fd.Name)
		}
		env = append(env, launch.EnvFDs+"="+launch.Format(names, fds))
	}
	return append(env, o.Env...)
}

// fork starts cmd from a thread that has taken on what the child shall have; the thread ends with it.
func fork(cmd *exec.Cmd, o Options) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == os.Getpid() {
			// The main thread cannot be thrown away: another one does it, while this one is taken.
			free := make(chan struct{})
			go func() {
				runtime.LockOSThread()
				started <- prepare(cmd, o)
				close(free)
			}()
			<-free
			runtime.UnlockOSThread()
			return
		}
		started <- prepare(cmd, o)
	}()
	return <-started
}

func prepare(cmd *exec.Cmd, o Options) error {
	if err := surrender(o); err != nil {
		return err
	}
	return cmd.Start()
}

// Start starts the plugin, reads its handshake and connects.
func Start(ctx context.Context, o Options) (*Process, error) {
	p, err := Spawn(o)
	if err != nil {
		return nil, err
	}
	limit := o.Handshake
	if limit == 0 {
		limit = 10 * time.Second
	}
	if err := p.handshake(ctx, limit); err != nil {
		return p, err
	}
	return p, p.dial()
}

// CutLifeline ends the plugin's standard input.
func (p *Process) CutLifeline() { p.cut.Do(func() { p.lifeline.Close() }) }

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() {
	_ = p.proc.Kill()
	<-p.exited
}

// ErrAlive says that a process has not ended in time.
var ErrAlive = errors.New("is still running")

// Wait waits for the process to end by itself.
func (p *Process) Wait(limit time.Duration) (*os.ProcessState, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.exited:
		return p.state, nil
	case <-t.C:
		return nil, fmt.Errorf("pid %d %w after %v", p.Pid, ErrAlive, limit)
	}
}

// Close ends the plugin, in order when it obeys, and everything left of its session.
func (p *Process) Close() error {
	p.closing.Do(func() {
		p.CutLifeline()
		if _, err := p.Wait(2 * time.Second); err != nil {
			p.Kill()
		}
		killSession(p.Pid)
		if p.Conn != nil {
			p.closed = p.Conn.Close()
		}
		p.stdout.close()
		p.stderr.close()
	})
	return p.closed
}

// Say writes to the plugin's standard input, which the contract has it ignore.
func (p *Process) Say(s string) error {
	_, err := p.lifeline.WriteString(s)
	return err
}
