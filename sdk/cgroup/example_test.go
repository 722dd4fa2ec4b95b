package cgroup_test

import (
	"os/exec"
	"runtime"
	"syscall"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/cgroup"
)

// The same lines start a process in the pod's cgroup on both versions.
func ExampleJoin() {
	start := func(rt *poddir.Runtime, app string, cmd *exec.Cmd) error {
		runtime.LockOSThread() // on version 1 the thread itself moves, so nobody else may get it
		dir, err := cgroup.Join(rt.Cgroup, app)
		if err != nil {
			return err
		}
		if dir != nil {
			defer dir.Close()
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		}
		return cmd.Start()
	}
	_ = start
}
