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
// Command is called once for each app, in order, in the process that `rkt run` was, as the user that it runs as.
// root is the app's file system, mounted for this call and the command alone: it goes away with the process,
// and the host never sees it. The result needs Path, Args and whatever confinement there is to be
// (SysProcAttr.Chroot); Env, Dir, user and streams are filled in where they are empty. An error that wraps
// exec.ErrNotFound is the app's (exit status 127), any other is the pod's.
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
