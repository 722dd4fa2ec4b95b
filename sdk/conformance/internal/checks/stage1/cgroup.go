package stage1

import (
	"context"
	"errors"
	"fmt"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// grouped is a pod directory with a cgroup.
func grouped(e *suite.Env, apps ...poddir.App) (*pod.Pod, error) {
	if err := root(); err != nil {
		return nil, err
	}
	p, err := newPod(e, apps...)
	if err != nil {
		return nil, err
	}
	if err := p.MakeCgroup(); err != nil {
		return nil, suite.Skip("this host has no cgroups for the pod: %v", err)
	}
	return p, nil
}

func inCgroup(ctx context.Context, e *suite.Env) error {
	p, err := grouped(e, pod.App("one", "spawn", "stubborn"))
	if err != nil {
		return err
	}
	if err := launch(ctx, e, p); err != nil {
		return err
	}
	if err := p.Hear(e.Within(startLimit), "stubborn"); err != nil {
		return err
	}
	inside := 0
	for _, pid := range p.Left() {
		err := p.InCgroup(pid)
		if err == nil {
			inside++
		} else if p.IsApp(pid) { // a supervisor and its helpers may be elsewhere
			return err
		}
	}
	if inside == 0 {
		return errors.New("the pod runs, and nobody is in its cgroup, by which core would find its processes")
	}
	return nil
}

func memoryLimit(ctx context.Context, e *suite.Env) error {
	a := pod.App("one", "eat", "256", "exit", "0")
	a.Resources.MemoryBytes = 96 << 20
	p, err := grouped(e, a)
	if err != nil {
		return err
	}
	if _, ok := p.Runtime.Cgroup.Dirs["memory"]; !ok && p.Runtime.Cgroup.Version == 1 {
		return suite.Skip("this host has no memory controller")
	}
	if err := launch(ctx, e, p); err != nil {
		return err
	}
	code, err := p.Wait(e.Within(startLimit))
	if err != nil {
		return err
	}
	s := p.Status("one")
	switch {
	case code == 0 || s == nil || s.Code != code:
		return fmt.Errorf("an app that may have 96 MiB took 256 and ended with %d, its status is %+v%s", code, s, p.Said())
	case code == 137 && !s.OOM: // elsewhere it was refused the memory
		return errors.New("the status of an app that the kernel killed at its memory limit does not say so")
	}
	return nil
}
