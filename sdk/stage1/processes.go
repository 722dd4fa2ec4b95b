package stage1

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/cgroup"
	"github.com/rkt/rkt/v2/sdk/rootfs"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// processes is a supervise.Flavor whose apps are processes of the host, as a Supervisor describes them.
//
// Each app has a goroutine locked to a thread of its own. The thread gets a mount namespace, mounts the app's
// root and joins the pod's network; the app is forked from it and so has both. It then waits: the app's
// parent-death signal is tied to the thread, so that no app outlives the supervisor. Both namespaces go away with
// the last process in them.
type processes struct {
	impl Supervisor

	mu   sync.Mutex
	apps map[string]*os.Process
	wait sync.WaitGroup
}

func newProcesses(impl Supervisor) *processes {
	return &processes{impl: impl, apps: map[string]*os.Process{}}
}

var _ supervise.Flavor = (*processes)(nil)

// Start starts the apps one after the other.
func (f *processes) Start(p *supervise.Pod, r *supervise.Reporter) error {
	// What an app leaves behind when its own parent dies becomes ours, so that Kill finds it.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	orphans := make(chan os.Signal, 1)
	signal.Notify(orphans, unix.SIGCHLD)
	go func() {
		for range orphans {
			f.reapOrphans()
		}
	}()
	for i := range p.Apps {
		started := make(chan error, 1)
		f.wait.Add(1)
		go f.run(p, &p.Apps[i], r, started)
		if err := <-started; err != nil {
			return err
		}
	}
	return nil
}

// run is the life of one app.
func (f *processes) run(p *supervise.Pod, app *poddir.App, r *supervise.Reporter, started chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread has other namespaces now
	defer f.wait.Done()
	cmd, l, err := f.start(p, app)
	if code := notExecuted(err); code != 0 {
		r.Exited(app.Name, supervise.Exit{Code: code, Reason: err.Error()})
		started <- nil
		return
	}
	if err != nil {
		started <- err
		return
	}
	defer l.close()
	first := l.first()
	if first.Started {
		r.Started(app.Name, cmd.Process.Pid)
		started <- nil
	}
	_ = cmd.Wait()
	f.mu.Lock()
	delete(f.apps, app.Name)
	f.mu.Unlock()
	r.Exited(app.Name, l.end(first, cmd.ProcessState))
	if !first.Started {
		started <- nil // not before it is known that the app has ended: the pod may have no other
	}
}

// notExecuted is a shell's exit status for a program that could not be run, or 0.
func notExecuted(err error) int {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return 127
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.ENOTDIR):
		return 126
	}
	return 0
}

func (f *processes) start(p *supervise.Pod, app *poddir.App) (*exec.Cmd, *listener, error) {
	cmd, err := f.command(p, app)
	if err != nil {
		return nil, nil, err
	}
	cg, err := cgroup.Join(p.Runtime.Cgroup, app.Name)
	if err != nil {
		return nil, nil, &setupError{"join cgroup", app.Name, err}
	}
	if cg != nil {
		defer cg.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(cg.Fd())
	}
	defer func() {
		if out, ok := cmd.Stdout.(*os.File); ok && out != os.Stdout {
			out.Close()
		}
	}()
	l, err := listen(f.impl, cmd)
	if err != nil {
		return nil, nil, err
	}
	if l != nil {
		defer cmd.ExtraFiles[0].Close()
	}
	f.mu.Lock() // so that Kill, which may come at any time, misses nothing
	defer f.mu.Unlock()
	if f.apps == nil {
		err = errors.New("the pod is being killed")
	} else {
		err = cmd.Start()
	}
	if err != nil {
		l.close()
		return nil, nil, err
	}
	f.apps[app.Name] = cmd.Process
	return cmd, l, nil
}

// command makes the app's surroundings the thread's, and what the Supervisor says complete.
func (f *processes) command(p *supervise.Pod, app *poddir.App) (*exec.Cmd, error) {
	wd, err := os.Getwd() // the pod's directory
	if err != nil {
		return nil, err
	}
	root, err := rootfs.Mount(wd, app)
	if err != nil {
		return nil, &setupError{"mount root", app.Name, err}
	}
	if fd, ok := p.Netns(); ok {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return nil, os.NewSyscallError("setns", err)
		}
	}
	cmd, err := f.impl.Command(p, app, root)
	if err != nil {
		return nil, err
	}
	return cmd, complete(cmd, p, app)
}

// complete fills in what a Supervisor left empty.
func complete(cmd *exec.Cmd, p *supervise.Pod, app *poddir.App) error {
	if cmd.Env == nil {
		cmd.Env = append([]string{}, app.Env...)
	}
	if cmd.Dir == "" {
		cmd.Dir = "/"
		if app.Dir != "" {
			cmd.Dir = app.Dir
		}
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	attr := cmd.SysProcAttr
	attr.Pdeathsig = syscall.SIGKILL
	if attr.Credential == nil {
		cred, err := Credential(app)
		if err != nil {
			return err
		}
		attr.Credential = cred
	}
	if cmd.Stdin == nil && app.Stdin == poddir.StdinStream {
		cmd.Stdin = os.Stdin
	}
	if cmd.Stdout == nil && cmd.Stderr == nil {
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if p.Runtime.Detached {
			if err := os.Mkdir(poddir.LogsDir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			log, err := os.OpenFile(filepath.Join(poddir.LogsDir, app.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
			if err != nil {
				return err
			}
			cmd.Stdout, cmd.Stderr = log, log
		}
	}
	return nil
}

// Credential reads an app's user and group when they are numbers, as Validate can have made sure.
func Credential(app *poddir.App) (*syscall.Credential, error) {
	user, group, _ := strings.Cut(app.User, ":")
	if app.Group != "" {
		group = app.Group
	}
	number := func(s string) (uint32, error) {
		if s == "" || s == "root" {
			return 0, nil
		}
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return 0, PodUnsupported("app %q: user or group %q is not a number", app.Name, s)
		}
		return uint32(n), nil
	}
	uid, err := number(user)
	if err != nil {
		return nil, err
	}
	gid, err := number(group)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uid, Gid: gid, Groups: append([]uint32{}, app.SupplementaryGIDs...)}, nil
}

// Signal sends a signal to an app's main process.
func (f *processes) Signal(app string, sig unix.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.apps[app]
	if !ok {
		return nil
	}
	if err := p.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends the apps and whatever they left to us.
func (f *processes) Kill() error {
	f.mu.Lock()
	apps := f.apps
	f.apps = nil
	for _, p := range apps {
		_ = p.Kill()
	}
	f.mu.Unlock()
	f.wait.Wait()
	for {
		left := children()
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		// ECHILD: nobody is left. Each that dies may leave us its own children.
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			return nil
		}
	}
}

// reapOrphans takes the exit status of ended processes that are nobody's but ours.
func (f *processes) reapOrphans() {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := map[int]bool{}
	for _, p := range f.apps {
		known[p.Pid] = true
	}
	for _, pid := range children() {
		if !known[pid] {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// children returns the children of every thread of this process.
func children() []int {
	var out []int
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for _, s := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(s); err == nil {
				out = append(out, pid)
			}
		}
	}
	return out
}
