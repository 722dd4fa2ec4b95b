package broken

import (
	"errors"
	"fmt"
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
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// flavor is the pod's processes. The rest of a supervisor is sdk/supervise's: faults of that are made around it.
type flavor struct {
	*plugin
	mu    sync.Mutex
	procs map[string]*os.Process
	wait  sync.WaitGroup
}

// supervise is the process that core becomes.
func (p *plugin) supervise() int {
	if _, err := os.Stat(poddir.PidFile); err == nil && p.is("cannot-start-twice") {
		return supervise.ExitCannotStart
	}
	if p.is("has-no-finish") {
		if err := forgetFinish(); err != nil {
			return supervise.ExitCannotStart
		}
	}
	f := &flavor{plugin: p, procs: map[string]*os.Process{}}
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	if p.is("dies-of-a-signal") {
		term := make(chan os.Signal, 1)
		signal.Notify(term, unix.SIGTERM)
		go func() {
			<-term
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		}()
	}
	code := supervise.Run(f)
	if p.is("always-succeeds") {
		return 0
	}
	return code
}

// Start starts every app in order.
func (f *flavor) Start(pod *supervise.Pod, r *supervise.Reporter) error {
	for i := range pod.Apps {
		app := &pod.Apps[i]
		started := make(chan error, 1)
		f.wait.Add(1)
		go f.run(pod, app, r, started)
		if err := <-started; err != nil {
			return err
		}
	}
	go f.after(pod)
	return nil
}

// after makes the faults of files that sdk/supervise writes.
func (f *flavor) after(pod *supervise.Pod) {
	change := func(name string, how func() error) {
		for range 2000 {
			if _, err := os.Stat(name); err == nil {
				_ = how()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	app := filepath.Join(poddir.StatusDir, pod.Apps[0].Name)
	switch {
	case f.is("writes-another-pid"):
		change(poddir.PidFile, func() error { return os.WriteFile(poddir.PidFile, []byte("1\n"), 0o640) })
	case f.is("writes-no-status"):
		change(app, func() error { return os.Remove(app) })
	case f.is("opens-its-socket-to-all"):
		change(poddir.ControlSock, func() error { return os.Chmod(poddir.ControlSock, 0o666) })
	case f.is("lets-the-lock-go"):
		change(poddir.ReadyFile, unlock)
	}
}

// unlock gives up the lock on the working directory, whose descriptor is the one that names it.
func unlock() error {
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	for fd := 3; fd < 20; fd++ {
		if to, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && to == wd {
			_ = unix.Flock(fd, unix.LOCK_UN)
		}
	}
	return nil
}

// run is the life of one app.
func (f *flavor) run(pod *supervise.Pod, app *poddir.App, r *supervise.Reporter, started chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread has other namespaces now
	defer f.wait.Done()
	cmd, err := f.start(pod, app)
	if err != nil {
		code := 126
		if errors.Is(err, fs.ErrNotExist) || f.is("knows-one-failure-of-exec") {
			code = 127
		}
		r.Exited(app.Name, supervise.Exit{Code: code, Reason: err.Error()})
		started <- nil
		return
	}
	r.Started(app.Name, cmd.Process.Pid)
	started <- nil
	_ = cmd.Wait()
	exit := supervise.Exit{Code: cmd.ProcessState.ExitCode()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Signal = ws.Signal()
		if f.is("takes-signals-for-statuses") {
			exit = supervise.Exit{Code: int(ws.Signal())}
		}
	}
	if f.is("forgives-failure") && len(pod.Apps) > 1 {
		exit = supervise.Exit{}
		_ = f.Signal(pod.Apps[0].Name, unix.SIGTERM)
	}
	if f.is("ends-with-the-first") && exit.Code == 0 {
		_ = unix.Kill(os.Getpid(), unix.SIGTERM)
	}
	r.Exited(app.Name, exit)
}

// root mounts the app's file system in a mount namespace of the thread's own.
func (f *flavor) root(app *poddir.App) (string, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return "", err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", err
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	if f.is("has-no-overlay") {
		return app.Rootfs.Layers[0], nil
	}
	dir := filepath.Join(wd, poddir.AppsDir, app.Name)
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return "", err
		}
	}
	root := filepath.Join(dir, "root")
	opts := "lowerdir=" + app.Rootfs.Layers[0] + ",upperdir=" + filepath.Join(dir, "upper") + ",workdir=" + filepath.Join(dir, "work")
	if err := unix.Mount("overlay", root, "overlay", 0, opts); err != nil {
		return "", fmt.Errorf("mount overlay: %w", err)
	}
	switch {
	case f.is("shows-the-hosts-processes"):
		err = unix.Mount("/proc", filepath.Join(root, "proc"), "", unix.MS_BIND|unix.MS_REC, "")
	case f.is("shows-a-file-of-the-host"):
		err = os.Mkdir(filepath.Join(root, "host"), 0o755)
	}
	if err != nil {
		return "", err
	}
	if app.ReadOnlyRoot {
		return root, unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	return root, nil
}

func (f *flavor) start(pod *supervise.Pod, app *poddir.App) (*exec.Cmd, error) {
	root, err := f.root(app)
	if err != nil {
		return nil, fmt.Errorf("mount root: %v", err) // no failure of the app's
	}
	if fd, ok := pod.Netns(); ok {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return nil, err
		}
	}
	uid, _ := strconv.Atoi(app.User)
	gid, _ := strconv.Atoi(app.Group)
	cmd := &exec.Cmd{
		Path: app.Argv[0], Args: app.Argv, Env: app.Env, Dir: "/", Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Chroot: root, Pdeathsig: unix.SIGKILL,
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: append([]uint32{}, app.SupplementaryGIDs...)},
		},
	}
	if app.Dir != "" {
		cmd.Dir = app.Dir
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	if cmd.Stdin = null; app.Stdin == poddir.StdinStream || f.is("gives-everybody-its-input") {
		cmd.Stdin = os.Stdin
	}
	if err := f.spoil(cmd, pod, app); err != nil {
		return nil, err
	}
	if cg := pod.Runtime.Cgroup; cg.Version > 0 && !f.is("knows-no-cgroup") {
		if err := join(cg, app.Name, cmd.SysProcAttr); err != nil {
			return nil, fmt.Errorf("join cgroup: %v", err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.procs == nil {
		return nil, errors.New("the pod is being killed")
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f.procs[app.Name] = cmd.Process
	return cmd, nil
}

// join has what the thread forks land in the pod's cgroup: on version 1 the thread itself moves, on version 2 the child is
// made in a cgroup of the app's own.
func join(cg poddir.Cgroup, app string, attr *syscall.SysProcAttr) error {
	if cg.Version == 1 {
		for _, dir := range cg.Dirs {
			if err := os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0); err != nil {
				return err
			}
		}
		return nil
	}
	dir := filepath.Join(cg.Dirs[""], app)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // goes with the process
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return err
}

// spoil makes the faults of an app's surroundings, and the log of a detached pod.
func (f *flavor) spoil(cmd *exec.Cmd, pod *supervise.Pod, app *poddir.App) error {
	switch {
	case f.is("leaks-its-environment"):
		cmd.Env = append(os.Environ(), "SUPERVISOR=me")
		cmd.Env = append(cmd.Env, app.Env...)
	case f.is("leaks-a-descriptor"):
		d, err := os.Open(".")
		if err != nil {
			return err
		}
		cmd.ExtraFiles = []*os.File{d}
	case f.is("leaves-apps-behind"):
		cmd.SysProcAttr.Pdeathsig = 0
	}
	if !pod.Runtime.Detached || f.is("has-no-logs") {
		return nil
	}
	if err := os.MkdirAll(poddir.LogsDir, 0o750); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(poddir.LogsDir, app.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	cmd.Stdout, cmd.Stderr = log, log
	return err
}

// Signal sends a signal to an app.
func (f *flavor) Signal(app string, sig unix.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.is("knows-one-stop-signal") && sig == unix.SIGUSR1 {
		sig = unix.SIGTERM
	}
	if p := f.procs[app]; p != nil {
		_ = p.Signal(sig)
	}
	return nil
}

// Kill ends the apps, and what they have left to this process.
func (f *flavor) Kill() error {
	f.mu.Lock()
	procs := f.procs
	f.procs = nil
	for _, p := range procs {
		_ = p.Kill()
	}
	f.mu.Unlock()
	f.wait.Wait()
	if f.is("leaves-orphans") {
		return nil
	}
	for {
		lists, _ := filepath.Glob("/proc/self/task/*/children")
		for _, list := range lists {
			b, _ := os.ReadFile(list)
			for _, s := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(s); err == nil {
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
			return nil
		}
	}
}

// forgetFinish takes the finish program out of runtime.json.
func forgetFinish() error {
	var rt poddir.Runtime
	if err := poddir.ReadJSON(".", poddir.RuntimeFile, &rt); err != nil {
		return err
	}
	rt.Finish = nil
	return poddir.WriteJSON(".", poddir.RuntimeFile, &rt)
}
