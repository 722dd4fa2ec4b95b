// Command rkt-stage1-chroot is a stage1 that runs each app in a plain chroot: a worked example, and no isolation.
package main

import (
	"context"
	"os/exec"
	"syscall"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

const name = "stage1-chroot"

func main() { stage1.Main(stage1.Info{Name: name, Version: "1.0.0"}, flavor{}) }

type flavor struct{ stage1.Base } // Base: Run = "execute this binary as the supervisor"; Stop

// Validate refuses what a chroot has not, before anything starts.
func (flavor) Validate(_ context.Context, podDir string) ([]plugin.Diagnostic, error) {
	return stage1.Lacks{Mounts: true, Resources: true, Terminal: true, Handlers: true}.Validate(podDir, name)
}

// Command runs in the pod's supervisor: root is the app's file system, mounted for the command alone. It has no /proc and
// no resolv.conf.
func (flavor) Command(_ *supervise.Pod, app *poddir.App, root string) (*exec.Cmd, error) {
	path, err := stage1.LookPath(root, app)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{Path: path, Args: app.Argv, SysProcAttr: &syscall.SysProcAttr{Chroot: root}}, nil
}
