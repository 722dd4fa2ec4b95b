package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// growTime is how long a guest may take to have memory that its machine is given.
const growTime = 30 * time.Second

// limits are what the machine's size follows from.
type limits struct {
	mu   sync.Mutex
	pod  poddir.Pod // its apps with the limits in force; none before the pod is up
	grow int        // MiB that the machine has been given since its start
}

func (l *limits) begin(m *vmhost.Machine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pod = m.Spec.Pod
}

// Update changes an app's limits: the machine's size first where it has to grow, then the app's cgroup in the guest.
func (f *Flavor) Update(app string, r poddir.Resources) error {
	l := &f.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.pod
	next.Apps = slices.Clone(next.Apps)
	i := slices.IndexFunc(next.Apps, func(a poddir.App) bool { return a.Name == app })
	if i < 0 {
		return supervise.Refuse(poddir.ControlBusy, "app %q has not started", app)
	}
	set(&next.Apps[i].Resources, r)
	grow, err := f.growth(&next)
	if err != nil {
		return err
	}
	if grow > l.grow {
		if err := f.resize(grow); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(f.ctx, requestTime)
	defer cancel()
	if err := f.client.Update(ctx, app, r); err != nil {
		if grow > l.grow {
			f.shrink(l.grow)
		}
		return refusal(err)
	}
	if grow < l.grow {
		f.shrink(grow)
	}
	l.pod, l.grow = next, grow
	return nil
}

func set(to *poddir.Resources, r poddir.Resources) {
	if r.MemoryBytes > 0 {
		to.MemoryBytes = r.MemoryBytes
	}
	if r.CPUMillis > 0 {
		to.CPUMillis = r.CPUMillis
	}
	if r.CPUShares > 0 {
		to.CPUShares = r.CPUShares
	}
}

// growStep is what machines grow by: a guest takes memory in blocks of some MiB.
const growStep = 16

// growth is how much larger than at its start the machine has to be for the pod, by the rule that made it.
func (f *Flavor) growth(pod *poddir.Pod) (int, error) {
	m := f.m
	size := vmhost.SizeOf(&m.Config, pod, runtime.NumCPU(), m.Accel == vmhost.TCG)
	if size.CPUs > m.CPUs {
		return 0, supervise.Refuse(poddir.ControlRefused,
			"app.cpu: the apps' limits come to %d processors, the machine has %d, and none can be added while it runs", size.CPUs, m.CPUs)
	}
	grow := max(0, size.MemoryMiB-m.MemoryMiB)
	grow = (grow + growStep - 1) / growStep * growStep
	_, can := f.monitor.(vmhost.Growth)
	switch {
	case grow == 0 || can && grow <= m.GrowMiB:
		return grow, nil
	case can && m.GrowMiB > 0:
		return 0, supervise.Refuse(poddir.ControlRefused,
			"app.memory: the apps need a machine of %d MiB, and the most that this one can be is %d", size.MemoryMiB, m.MemoryMiB+m.GrowMiB)
	}
	return 0, supervise.Refuse(poddir.ControlRefused, "app.memory: the apps need a machine of %d MiB, this one has %d, and %s",
		size.MemoryMiB, m.MemoryMiB, m.Rigid)
}

// resize waits for the guest.
func (f *Flavor) resize(mib int) error {
	ctx, cancel := context.WithTimeout(f.ctx, growTime)
	defer cancel()
	err := f.monitor.(vmhost.Growth).Grow(ctx, mib)
	if err != nil {
		f.shrink(f.limits.grow)
		return supervise.Refuse(poddir.ControlBusy, "app.memory: make the machine %d MiB larger: %v", mib, err)
	}
	return nil
}

// shrink has the machine give memory back; that it keeps some is the host's loss alone.
func (f *Flavor) shrink(mib int) {
	ctx, cancel := context.WithTimeout(f.ctx, requestTime)
	defer cancel()
	if err := f.monitor.(vmhost.Growth).Grow(ctx, mib); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: take memory from the virtual machine: %v\n", err)
	}
}

// refusal translates the guest's.
func refusal(err error) error {
	switch {
	case errors.Is(err, &agent.Error{Code: agent.CodeBusy}), errors.Is(err, &agent.Error{Code: agent.CodeState}),
		errors.Is(err, context.DeadlineExceeded):
		return supervise.Refuse(poddir.ControlBusy, "%s", printable(err.Error()))
	case errors.As(err, new(*agent.Error)):
		return supervise.Refuse(poddir.ControlRefused, "%s", printable(err.Error()))
	}
	return err
}
