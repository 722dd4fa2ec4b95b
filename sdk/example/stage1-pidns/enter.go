package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/cgroup"
	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// Enter answers with this binary: rkt becomes enterMain, with the user's terminal.
func (flavor) Enter(_ context.Context, req stage1.EnterRequest) (stage1.ExecPlan, error) {
	if err := stage1.Running(req.PodDir); err != nil {
		return stage1.ExecPlan{}, err
	}
	if _, _, err := readPod(req.PodDir, req.App); err != nil {
		return stage1.ExecPlan{}, err
	}
	return req.Plan(""), nil
}

func enterMain(podDir, name string, terminal bool, argv []string) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	if len(argv) == 0 {
		argv = []string{"/bin/sh"}
	}
	exit, err := enter(podDir, name, terminal, argv, signals)
	if err != nil {
		fmt.Fprintf(os.Stderr, "rkt: enter app %q: %v\n", name, err)
		exit = stage1.NotExecuted(err)
	}
	return exit.Status()
}

func enter(podDir, name string, terminal bool, argv []string, signals <-chan os.Signal) (exit supervise.Exit, err error) {
	_, app, err := readPod(podDir, name)
	if err != nil {
		return exit, err
	}
	master, streams := -1, [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	if terminal {
		if master, streams, err = newTerminal(); err != nil {
			return exit, fmt.Errorf("make terminal: %v", err) // not wrapped, as in runApp
		}
	}
	runtime.LockOSThread() // never unlocked: the thread is in the pod
	cg, err := join(podDir, name)
	if err != nil {
		return exit, fmt.Errorf("join its namespaces: %v", err)
	}
	root := *app
	root.Argv, root.User, root.Group, root.SupplementaryGIDs = argv, "0", "0", nil // whatever the app's user is
	cmd, err := command(&root)
	if err != nil {
		return exit, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams[0], streams[1], streams[2]
	// No Pdeathsig: Go asks for the parent's pid then, which from another pid namespace is 0, and ends the command.
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, terminal
	if cg != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(cg.Fd())
	}
	if terminal {
		cmd.Env = append(cmd.Env, "TERM="+os.Getenv("TERM"))
	}
	if err := cmd.Start(); err != nil {
		return exit, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	if terminal {
		streams[0].Close() // so that it ends with its last user
		defer tty.Attach(master, os.Stdout).Leave()
	}
	err = cmd.Wait()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		return exit, err
	}
	return supervise.ExitOf(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

// newTerminal is a terminal for the command: through the user's own the pod could read what is typed later, and type.
func newTerminal() (master int, streams [3]*os.File, err error) {
	pts, err := unix.Open("/dev/pts", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, streams, err
	}
	defer unix.Close(pts)
	master, slave, _, err := tty.Open(pts)
	if err != nil {
		return -1, streams, err
	}
	f := os.NewFile(uintptr(slave), "terminal")
	return master, [3]*os.File{f, f, f}, nil
}

// join takes the calling thread to where the app's init is, and gives it no capability to pass on that the init has not.
func join(podDir, name string) (cg *os.File, err error) {
	var rt poddir.Runtime
	if err := poddir.ReadJSON(podDir, poddir.RuntimeFile, &rt); err != nil {
		return nil, err
	}
	pidfd, pid, err := stage1.OpenApp(podDir, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pidfd)
	var has [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3, Pid: int32(pid)}, &has[0]); err != nil {
		return nil, os.NewSyscallError("capget", err)
	}
	for c := range 64 {
		if has[c/32].Permitted>>(c%32)&1 == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // there is none of that number
				return nil, os.NewSyscallError("prctl", err)
			}
		}
	}
	if cg, err = cgroup.Join(rt.Cgroup, name); err != nil { // while the host's files are in sight
		return nil, err
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // the root and directory of the thread alone
		return nil, os.NewSyscallError("unshare", err)
	}
	spaces := unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET
	return cg, os.NewSyscallError("setns", unix.Setns(pidfd, spaces))
}
