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

func main() { stage1.Main(stage1.Info{Name: "stage1-chroot", Version: "1.0.0"}, flavor{}) }

type flavor struct{ stage1.Base } // Base: Run = "execute this binary as the supervisor"; Stop

// Validate refuses what a chroot cannot do, before anything starts.
func (flavor) Validate(_ context.Context, podDir string) (ds []plugin.Diagnostic, err error) {
	var pod poddir.Pod
	if err := poddir.ReadJSON(podDir, poddir.PodFile, &pod); err != nil {
		return nil, err
	}
	for _, app := range pod.Apps {
		if _, err := stage1.Credential(&app); err != nil {
			ds = append(ds, plugin.Diagnostic{Severity: plugin.SeverityError, Summary: err.Error(), Field: "apps.user"})
		}
		if len(app.Mounts) > 0 || app.Resources != (poddir.Resources{}) || app.Stdin == poddir.StdinTTY {
			ds = append(ds, plugin.Diagnostic{Severity: plugin.SeverityError, Field: "apps",
				Summary: "app " + app.Name + ": a chroot has no volumes, no limits and no terminal"})
		}
	}
	return ds, nil
}

// Command runs in the pod's supervisor: root is the app's file system, mounted for the command alone.
func (flavor) Command(_ *supervise.Pod, app *poddir.App, root string) (*exec.Cmd, error) {
	path, err := stage1.LookPath(root, app)
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{Path: path, Args: app.Argv, SysProcAttr: &syscall.SysProcAttr{Chroot: root}}, nil
}
