// Command rkt-stage1-pidns is a stage1 with an init of its own in front of each app, and `rkt enter`: a worked example for
// who wraps a program.
//
// Each app has namespaces of its own: apps of a pod share network and cgroup, and see nothing else of each other. What an
// app leaves running ends with it. There is no seccomp filter, an app that is root is root of the host, and its root has
// no resolv.conf but the image's.
package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

const self = "stage1-pidns"

// One binary is four programs: the plugin and the supervisor, which Main knows, and the two that are ours.
func main() {
	switch {
	case len(os.Args) == 4 && os.Args[1] == "init":
		os.Exit(initMain(os.Args[2], os.Args[3]))
	case len(os.Args) > 5 && os.Args[1] == "enter":
		os.Exit(enterMain(os.Args[2], os.Args[3], os.Args[4] == "tty", os.Args[6:]))
	}
	stage1.Main(stage1.Info{Name: self, Version: "1.0.0"}, flavor{})
}

type flavor struct {
	stage1.Base    // Run and Stop
	stage1.Wrapper // the init says when the app runs and how it ended
}

// Validate refuses what the flavor has not, before anything starts.
func (flavor) Validate(_ context.Context, podDir string) ([]plugin.Diagnostic, error) {
	return stage1.Lacks{Mounts: true, Resources: true, Terminal: true, Handlers: true}.Validate(podDir, self)
}

// Command starts the init as root in the pod's directory, with nothing of what the image says in its own environment, and
// in a session of its own: what is typed at the terminal is for the supervisor, which stops the pod. Its arguments are seen
// in the pod, and so are no paths of the host.
func (flavor) Command(_ *supervise.Pod, app *poddir.App, root string) (*exec.Cmd, error) {
	here, err := os.Getwd()
	if err == nil {
		root, err = filepath.Rel(here, root)
	}
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{self, "init", root, app.Name}, Env: []string{}, Dir: ".",
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
			Credential: &syscall.Credential{}, Setsid: true,
		},
	}, nil
}
