package plugin

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
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

// environ is all that a plugin gets of the caller's environment. PATH is fixed, so that what a plugin runs is
// what the admin installed.
func environ(k Kind) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
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

// spawn executes the open binary. env is go-plugin's part of the environment.
func spawn(file *os.File, e *Entry, c *confinement, o Options, env []string) (*child, error) {
	if err := checkELF(file); err != nil {
		return nil, err
	}
	if o.Grease {
		more, extra, err := greaseStart(&o, env)
		if err != nil {
			return nil, err
		}
		defer extra.Close()
		env = more
	}
	fds := o.FDs
	in, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		closeAll(in, lifeline)
		return nil, err
	}
	stderr, errw, err := os.Pipe()
	if err != nil {
		closeAll(in, lifeline, stdout, out)
		return nil, err
	}
	defer closeAll(in, out, errw)

	// In the child, os/exec moves descriptors to 0, 1, 2, 3, ... and others out of their way, to numbers right
	// above the highest that it was given. The binary's must be above those.
	top := 0
	for _, f := range append([]*os.File{in, out, errw}, files(fds)...) {
		top = max(top, int(f.Fd()))
	}
	exe, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, top+len(fds)+16)
	if err != nil {
		closeAll(lifeline, stdout, stderr)
		return nil, os.NewSyscallError("fcntl", err)
	}
	defer unix.Close(exe)

	env = append(environ(o.Kind), env...)
	cmd := &exec.Cmd{
		Path: "/proc/self/fd/" + strconv.Itoa(exe), Args: []string{e.Manifest.Exec}, Dir: "/",
		Stdin: in, Stdout: out, Stderr: errw, SysProcAttr: c.sysProcAttr(),
	}
	numbers, names := launch.FDs{}, []string{}
	cmd.ExtraFiles = files(fds)
	for i, fd := range fds {
		numbers[fd.Name] = 3 + i
		names = append(names, fd.Name)
	}
	if len(fds) > 0 {
		env = append(env, launch.EnvFDs+"="+launch.Format(names, numbers))
	}
	cmd.Env = env

	free, err := fork(cmd, c)
	if err != nil {
		closeAll(lifeline, stdout, stderr)
		return nil, explain(file, err)
	}
	ch := &child{
		pid: cmd.Process.Pid, exited: make(chan struct{}), proc: cmd.Process,
		lifeline: lifeline, stdout: stdout, stderr: stderr, free: free,
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

// checkELF says before the fork what execve would say tersely, or not at all: a script would be run by its
// interpreter, which nobody checked.
func checkELF(f *os.File) error {
	var head [20]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || string(head[:4]) != elf.ELFMAG {
		return fmt.Errorf("execute %s: not an ELF binary (a script cannot be a plugin)", f.Name())
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
		return fmt.Errorf("execute %s: built for %v, this machine is %s", f.Name(), machine, runtime.GOARCH)
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
