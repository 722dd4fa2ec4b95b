package plugin

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
)

// child is a plugin's process.
type child struct {
	pid    int
	exited chan struct{}
	state  *os.ProcessState // after exited

	proc     *os.Process
	lifeline *os.File // our end of its stdin; closing it means "end yourself"
	stdout   *os.File
	stderr   *os.File
	free     func() // lets the spawning thread go
	cut      sync.Once
}

// Path is the PATH of every plugin: fixed, so that what a plugin runs is what the admin installed.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ is all that a plugin gets of the caller's environment.
func environ(k Kind) []string {
	env := []string{"PATH=" + Path, "LANG=C.UTF-8"}
	names := []string{"TZ"}
	if k == KindFetcher {
		for _, n := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"} {
			names = append(names, n, strings.ToLower(n))
		}
	}
	for _, n := range names {
		if v, ok := os.LookupEnv(n); ok {
			env = append(env, n+"="+v)
		}
	}
	return env
}

// spawn executes the open file of the plugin. env is go-plugin's part of the environment.
func spawn(file *os.File, e *Entry, c *confinement, o Options, env []string) (*child, error) {
	prog, err := newProgram(file, e, o.Kind, judge{euid: os.Geteuid(), insecure: o.Insecure})
	if err != nil {
		return nil, err
	}
	if prog.script != nil {
		defer prog.file.Close()
	}
	if o.Grease {
		more, extra, err := greaseStart(&o, env)
		if err != nil {
			return nil, err
		}
		defer extra.Close()
		env = more
	}
	std, err := newPipes()
	if err != nil {
		return nil, err
	}
	defer closeAll(std.in, std.out, std.err)
	cmd, exe, err := prog.command(std, o.FDs)
	if err != nil {
		std.closeOurs()
		return nil, err
	}
	defer unix.Close(exe)
	cmd.Env = append(append(environ(o.Kind), env...), donation(o.FDs)...)
	cmd.SysProcAttr = c.sysProcAttr()
	free, err := fork(cmd, c)
	if err != nil {
		std.closeOurs()
		return nil, explain(prog.file, err)
	}
	ch := &child{
		pid: cmd.Process.Pid, exited: make(chan struct{}), proc: cmd.Process,
		lifeline: std.lifeline, stdout: std.stdout, stderr: std.stderr, free: free,
	}
	go func() {
		// Not cmd.Wait: the pipes are ours, and a process that stays must not keep us from reaping this one.
		ch.state, _ = cmd.Process.Wait()
		close(ch.exited)
		free()
	}()
	if err := c.apply(ch.pid); err != nil && !errors.Is(err, unix.ESRCH) {
		ch.kill()
		<-ch.exited
		ch.close()
		return nil, fmt.Errorf("limit plugin: %w", err)
	}
	return ch, nil
}

// pipes are a plugin's standard streams: in, out and err are its own ends.
type pipes struct {
	in, out, err             *os.File
	lifeline, stdout, stderr *os.File
}

func newPipes() (p pipes, err error) {
	if p.in, p.lifeline, err = os.Pipe(); err != nil {
		return p, err
	}
	if p.stdout, p.out, err = os.Pipe(); err != nil {
		closeAll(p.in, p.lifeline)
		return p, err
	}
	if p.stderr, p.err, err = os.Pipe(); err != nil {
		closeAll(p.in, p.lifeline, p.stdout, p.out)
	}
	return p, err
}

func (p *pipes) closeOurs() { closeAll(p.lifeline, p.stdout, p.stderr) }

// command is ready to start but for environment and privileges. The caller closes exe, the number that the
// program is executed by, once it has been.
func (p *program) command(std pipes, fds []FD) (cmd *exec.Cmd, exe int, err error) {
	argv, inherited := p.argv, files(fds)
	if p.script != nil {
		inherited = append(inherited, p.script)
		argv = append(slices.Clone(argv), "/proc/self/fd/"+strconv.Itoa(2+len(inherited)))
	}
	// In the child, os/exec moves descriptors to 0, 1, 2, 3, ... and others out of their way, to numbers right
	// above the highest that it was given. The program's must be above those.
	top := 0
	for _, f := range append([]*os.File{std.in, std.out, std.err}, inherited...) {
		top = max(top, int(f.Fd()))
	}
	exe, err = unix.FcntlInt(p.file.Fd(), unix.F_DUPFD_CLOEXEC, top+len(inherited)+16)
	if err != nil {
		return nil, 0, os.NewSyscallError("fcntl", err)
	}
	return &exec.Cmd{
		Path: "/proc/self/fd/" + strconv.Itoa(exe), Args: argv, Dir: "/",
		Stdin: std.in, Stdout: std.out, Stderr: std.err, ExtraFiles: inherited,
	}, exe, nil
}

// donation is RKT_FDS: the names of descriptors 3, 4, ...
func donation(fds []FD) []string {
	if len(fds) == 0 {
		return nil
	}
	numbers, names := launch.FDs{}, []string{}
	for i, fd := range fds {
		numbers[fd.Name] = 3 + i
		names = append(names, fd.Name)
	}
	return []string{launch.EnvFDs + "=" + launch.Format(names, numbers)}
}

func files(fds []FD) []*os.File {
	var out []*os.File
	for _, fd := range fds {
		out = append(out, fd.File)
	}
	return out
}

// fork starts cmd on a thread that has given its privileges up. The thread lives until free is called, because the
// child's parent-death signal is tied to it.
func fork(cmd *exec.Cmd, c *confinement) (free func(), err error) {
	started := make(chan error, 1)
	done := make(chan struct{})
	onThread(func() {
		err := c.surrender()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			<-done
		}
	})
	if err := <-started; err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { close(done) }), nil
}

// cutLifeline asks the plugin to end.
func (c *child) cutLifeline() { c.cut.Do(func() { c.lifeline.Close() }) }

// kill ends the process itself.
func (c *child) kill() { _ = c.proc.Kill() }

// close lets go of everything that is not the process.
func (c *child) close() {
	c.cutLifeline()
	closeAll(c.stdout, c.stderr)
	c.free()
}

func closeAll(fs ...*os.File) {
	for _, f := range fs {
		f.Close()
	}
}

// checkELF says before the fork what execve would say tersely; what, when the file is none at all.
func checkELF(f *os.File, what string) error {
	var head [20]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || string(head[:4]) != elf.ELFMAG {
		return noProgramf("%s", what)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	machine := elf.Machine(order.Uint16(head[18:]))
	ours, known := map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV,
	}[runtime.GOARCH]
	if known && machine != ours {
		return noProgramf("built for %v, this machine is %s", machine, runtime.GOARCH)
	}
	return nil
}

// explain adds to an error of execve what it means for a plugin.
func explain(f *os.File, err error) error {
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("execute %s: its dynamic linker is missing (build it static): %w", f.Name(), err)
	}
	return fmt.Errorf("execute %s: %w", f.Name(), err)
}
