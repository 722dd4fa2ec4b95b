package rootfs_test

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/rootfs"
)

// A flavor that starts an app's process itself does it from a thread that it does not use again.
func ExampleMount() {
	start := func(podDir string, app *poddir.App) (*exec.Cmd, error) {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine, and so do its mounts
		root, err := rootfs.Mount(podDir, app)
		if err != nil {
			return nil, fmt.Errorf("mount root of app %q: %w", app.Name, err)
		}
		cmd := &exec.Cmd{Path: app.Argv[0], Args: app.Argv, Env: app.Env, Dir: "/"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		return cmd, cmd.Start()
	}
	_ = start
}
