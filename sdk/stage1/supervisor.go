package stage1

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// Supervisor is the other half of the single-binary form: the pod's processes. It says how one app is run; the
// sdk does everything else that proto/poddir wants of a supervisor.
//
// Command is called once for each app, in order, in the process that `rkt run` was, as the user that it runs as. That
// process was never configured (plugin.Configurer): what it needs to know, Run writes below <pod>/stage1.
//
// Where it is called, and where the command is started:
//
//	working directory  the pod's; names of proto/poddir are relative to it
//	mounts             a mount namespace of this app's own, private: what Command mounts there the host never sees, and
//	                   it goes away with the app
//	network            the pod's network namespace already, if it has one
//	cgroup             the pod's for the command, on version 2 one below it; there is nothing to join
//	thread             one that is the app's alone and is not used again, so that unshare and setns may be called
//
// root is the app's file system at its absolute path in that namespace: an overlay of the image's layers, mounted nodev,
// and read-only already where app.ReadOnlyRoot is set. It holds what the image holds and nothing else: no /proc, no /dev,
// no /sys, no volumes, no resolv.conf and no hosts. A mount point that the image lacks cannot be made in a
// read-only one.
//
// Of the result Path, Args and whatever confinement there is to be (SysProcAttr.Chroot, Cloneflags) are needed. Where it
// is empty: Env is the app's; Dir the app's, or "/", which is the host's unless there is a Chroot (a wrapper says "."
// for the pod directory); SysProcAttr.Credential the app's user, group and supplementary groups, so that a wrapper that
// must begin as root says &syscall.Credential{}; Stdin, Stdout and Stderr the pod's, or the app's log when the pod is
// detached. Pdeathsig is always SIGKILL, so that no app outlives its supervisor, and the cgroup is always the pod's.
//
// The app counts as started, and the pod as ready, when the command is executed. An error of Command or of the start that
// wraps exec.ErrNotFound or fs.ErrNotExist is the app's (exit status 127), as is fs.ErrPermission, ENOEXEC or ENOTDIR
// (126); any other is the pod's; so do not wrap that a file of your own is missing. A wrapper that looks for the program
// itself has only its exit status for that: 127 and 126 then, without a reason in the status file (S1-LIFE-06), and 128+n
// without the signal's name (S1-LIFE-05). One of your own says all of it, and when the app runs: embed Wrapper. For one that
// is not (setpriv), say in Command what can be said (LookPath). With CLONE_NEWPID the command is PID 1, which ignores
// signals that it has no handler for: put an init before an app, or its stop signal does nothing until the grace time is
// over. sdk/example/stage1-pidns has one.
//
// Main dispatches the argument "supervise" alone. Arguments of the plugin's own, such as "enter" of EnterRequest.Plan, it
// must look for in os.Args before it calls Main.
//
// A flavor for which an app is not one process of the host implements supervise.Flavor instead, on the same
// type or in a program of its own.
type Supervisor interface {
	Command(p *supervise.Pod, app *poddir.App, root string) (*exec.Cmd, error)
}

// superviseMain runs the pod of this process and returns its exit status, unless `rkt finish` takes over.
func superviseMain(info Info, impl any) int {
	switch f := impl.(type) {
	case supervise.Flavor:
		return supervise.Run(f)
	case Supervisor:
		return supervise.Run(newProcesses(f))
	}
	fmt.Fprintf(os.Stderr, "%s: this plugin's supervisor is another program\n", info.Name)
	return supervise.ExitCannotStart
}
