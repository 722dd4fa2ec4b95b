package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// initMain is PID 1 of an app's pid namespace. When it ends, the kernel kills what is left in there.
func initMain(root, name string) int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)                  // PID 1 gets no signal that it does not ask for
	signal.Reset(unix.SIGCHLD, unix.SIGURG) // ours, and the Go runtime's
	report := stage1.OpenReport()
	exit, err := runApp(root, name, report, signals)
	if err != nil {
		exit = stage1.NotExecuted(err)
	}
	if err := report.Exited(exit); err != nil {
		fmt.Fprintf(os.Stderr, self+": app %q: %v\n", name, err)
	}
	return exit.Status()
}

func runApp(root, name string, report *stage1.Report, signals <-chan os.Signal) (exit supervise.Exit, err error) {
	pod, app, err := readPod(".", name)
	if err != nil {
		return exit, err
	}
	if err := enterRoot(root, pod.Hostname, app.Dir); err != nil {
		return exit, fmt.Errorf("make root of the app: %v", err) // what is missing here is not the app's program
	}
	runtime.LockOSThread() // for command
	cmd, err := command(app)
	if err != nil {
		return exit, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return exit, err
	}
	if err := report.Started(); err != nil {
		return exit, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	for { // orphans come to PID 1
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return exit, os.NewSyscallError("wait4", err)
		}
		if pid == cmd.Process.Pid {
			return supervise.ExitOf(ws), nil
		}
	}
}

// enterRoot makes root that of the whole mount namespace, not as chroot does of a process: who joins the namespace is in it,
// and the host's files are not there. After that no symbolic link of the image leads out.
func enterRoot(root, hostname, dir string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil { // the old root is on top of it then
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount2", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if fi, err := os.Lstat("/proc"); err == nil && fi.IsDir() {
		if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return os.NewSyscallError("mount", err)
		}
	}
	return errors.Join(unix.Sethostname([]byte(hostname)), os.MkdirAll("/"+dir, 0o755))
}

// command is the app's, as its user, for a locked thread whose root is the app's: there the program is looked for. The
// caller gives it all three streams, or os/exec would open the app's /dev/null.
func command(app *poddir.App) (*exec.Cmd, error) {
	path, err := stage1.LookPath("/", app)
	if err != nil {
		return nil, err
	}
	cred, err := stage1.Credential(app)
	if err != nil {
		return nil, err
	}
	if app.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return nil, os.NewSyscallError("prctl", err)
		}
	}
	return &exec.Cmd{
		Path: path, Args: app.Argv, Env: append([]string{}, app.Env...), Dir: "/" + app.Dir,
		SysProcAttr: &syscall.SysProcAttr{Credential: cred},
	}, nil
}

func readPod(dir, name string) (*supervise.Pod, *poddir.App, error) {
	pod := &supervise.Pod{Pod: new(poddir.Pod)}
	if err := poddir.ReadJSON(dir, poddir.PodFile, pod.Pod); err != nil {
		return nil, nil, err
	}
	if app := pod.App(name); app != nil {
		return pod, app, nil
	}
	return nil, nil, stage1.AppNotFound("pod has no app %q", name)
}
