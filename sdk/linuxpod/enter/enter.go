package enter

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/confine"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/spawn"
	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
)

// exitCannotEnter is rkt's own status for what did not work.
const exitCannotEnter = 254

// sealedMode is the argument of this program after it has become the sealed copy of itself.
const sealedMode = "enter-sealed"

// Main runs `enter POD-DIR APP tty|- -- [COMMAND ARGS]` and returns the status to exit with.
func Main(args []string) int {
	if args[0] != sealedMode {
		// The command's process runs from this program until execve; the app must not be able to write to it.
		if err := reexec(args); err != nil {
			fmt.Fprintf(os.Stderr, "rkt: enter: %v\n", err)
			return exitCannotEnter
		}
	}
	code, err := run(args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "rkt: enter: %v\n", err)
		if failed := (*confine.ExecError)(nil); errors.As(err, &failed) {
			return failed.Code
		}
		return exitCannotEnter
	}
	return code
}

func reexec(args []string) error {
	fd, err := mnt.Sealed()
	if err != nil {
		return err
	}
	argv := append([]string{os.Args[0], sealedMode}, args[1:]...)
	return fmt.Errorf("start sealed program: %w", syscall.Exec("/proc/self/fd/"+strconv.Itoa(fd), argv, os.Environ()))
}

type request struct {
	app     *plan.App
	command []string
	tty     bool
	set     *confine.Settings
	pidfd   int
}

func run(args []string) (int, error) {
	if len(args) < 4 || args[3] != "--" {
		return 0, errors.New("usage: enter POD-DIR APP tty|- -- [COMMAND ARGS]")
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("set dumpable: %w", err)
	}
	if err := os.Chdir(args[0]); err != nil {
		return 0, err
	}
	p, err := plan.Read(".")
	if err != nil {
		return 0, err
	}
	r := &request{app: p.App(args[1]), tty: args[2] == "tty", command: args[4:]}
	if r.app == nil {
		return 0, fmt.Errorf("pod has no app %q", args[1])
	}
	if r.pidfd, err = target(args[1]); err != nil {
		return 0, err
	}
	r.set = &confine.Settings{App: r.app, AsRoot: true, Command: r.command, DieWithThread: true}
	if r.set.Cgroup, err = confine.OpenCgroup(r.app.Cgroup); err != nil {
		return 0, err
	}
	if r.set.Filter, err = p.FilterOf(r.app); err != nil {
		return 0, err
	}
	if r.tty {
		r.set.Term = os.Getenv("TERM")
		if r.set.Term == "" {
			r.set.Term = "xterm"
		}
	}
	return r.join()
}

// join starts the command inside and lives as long as it.
func (r *request) join() (int, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)

	type started struct {
		spawn.Result
		master int
		err    error
	}
	c := make(chan started)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is in the pod
		s := started{master: -1}
		s.master, s.err = r.enter()
		if s.err == nil {
			s.Result, s.err = r.start()
		}
		c <- s
		select {} // the command dies with this thread
	}()
	s := <-c
	if s.err != nil {
		return 0, s.err
	}
	var t *tty.Proxy
	if r.tty {
		t = tty.Attach(s.master, os.Stdout)
	}
	go func() {
		for sig := range signals {
			n, ok := sig.(unix.Signal)
			if ok && n != unix.SIGWINCH {
				_ = unix.PidfdSendSignal(s.Pidfd, n, nil, 0)
			}
		}
	}()
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(s.Pid, &ws, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for command: %w", err)
		}
		break
	}
	if t != nil {
		t.Leave()
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return ws.ExitStatus(), nil
}

// enter takes the thread into the app, and makes the command's streams. What the app can have changed below
// its /proc and /dev is checked to be what it must be.
func (r *request) enter() (master int, err error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return -1, err
	}
	// Not the cgroup namespace: with cgroup2's nsdelegate, which systemd sets, a thread in the app's namespace
	// cannot fork into the app's cgroup from its own, which lies outside (ENOENT). The command makes one of its
	// own when it is there, and sees the same.
	spaces := unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET
	if err := unix.Setns(r.pidfd, spaces); err != nil {
		return -1, fmt.Errorf("join namespaces of app %q: %w", r.app.Name, err)
	}
	// The namespace's root is the app's root, whatever the app has chrooted itself to.
	r.set.Proc, err = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the app's /proc: %w", err)
	}
	if ok, err := mnt.IsFS(r.set.Proc, unix.PROC_SUPER_MAGIC); err != nil || !ok {
		return -1, errors.Join(errors.New("the app's /proc is not a procfs"), err)
	}
	if r.tty {
		return r.terminal()
	}
	for i := range r.set.Stdio {
		if r.set.Stdio[i], err = unix.FcntlInt(uintptr(i), unix.F_DUPFD_CLOEXEC, 3); err != nil {
			return -1, fmt.Errorf("descriptor %d: %w", i, err)
		}
	}
	return -1, nil
}

// terminal makes a pseudo-terminal in the app's devpts: the user's own must not be in the pod.
func (r *request) terminal() (master int, err error) {
	pts, err := unix.Open("/dev/pts", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the app's /dev/pts: %w", err)
	}
	defer unix.Close(pts)
	if ok, err := mnt.IsFS(pts, unix.DEVPTS_SUPER_MAGIC); err != nil || !ok {
		return -1, errors.Join(errors.New("the app's /dev/pts is not a devpts"), err)
	}
	master, slave, _, err := tty.Open(pts)
	if err != nil {
		return -1, err
	}
	tty.CopySize(0, slave)
	r.set.Stdio = [3]int{slave, slave, slave}
	return master, nil
}

// start starts the command, or a shell of the app's root.
func (r *request) start() (spawn.Result, error) {
	warn := func(format string, args ...any) { fmt.Fprintf(os.Stderr, "rkt: "+format+"\n", args...) }
	defer func() {
		if r.tty {
			unix.Close(r.set.Stdio[0]) // so that the terminal ends with its last user
		}
	}()
	if len(r.command) > 0 {
		return r.set.Start(warn)
	}
	var err error
	for _, shell := range []string{"/bin/bash", "/bin/sh"} {
		r.set.Command = []string{shell}
		var res spawn.Result
		if res, err = r.set.Start(warn); err == nil {
			return res, nil
		}
		if failed := (*confine.ExecError)(nil); !errors.As(err, &failed) {
			return res, err
		}
	}
	return spawn.Result{}, fmt.Errorf("the image has no shell; give a command: %w", err)
}
