package supervisor

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// Update of the guest takes all but what is meant to be refused.
func (g *guest) Update(app string, r poddir.Resources) error {
	switch {
	case r.CPUShares == 3:
		return agent.Refuse(agent.CodeBusy, "app.memory: in use\x1b")
	case r.CPUShares == 4:
		return errors.New("app.cpu: no such controller")
	}
	return nil
}

// TestUpdate asks a supervisor by its control socket.
func TestUpdate(t *testing.T) {
	p := newPod(t, "h", "hang", "hang")
	p.start(nil)
	p.vmm()
	for _, c := range []struct {
		app  string
		r    *poddir.Resources
		want poddir.ControlReply
	}{
		{"app0", &poddir.Resources{CPUShares: 2}, poddir.ControlReply{OK: true}},
		{"app0", &poddir.Resources{CPUShares: 3}, poddir.ControlReply{Kind: poddir.ControlBusy, Error: "app.memory: in use?"}},
		{"app1", &poddir.Resources{CPUShares: 4}, poddir.ControlReply{Kind: poddir.ControlRefused, Error: "app.cpu: no such controller"}},
		{"other", &poddir.Resources{CPUShares: 2}, poddir.ControlReply{Kind: poddir.ControlBusy, Error: `app "other" has not started`}},
		{"app0", &poddir.Resources{MemoryBytes: 768 << 20}, poddir.ControlReply{Kind: poddir.ControlRefused,
			Error: "app.memory: the apps need a machine of 1024 MiB, this one has 384, and it is a brick"}},
		{"app0", nil, poddir.ControlReply{Kind: poddir.ControlRefused, Error: "this supervisor changes no limits"}},
	} {
		got, err := stage1.Control(t.Context(), p.dir, poddir.ControlRequest{Op: "update", App: c.app, Resources: c.r})
		if err != nil || got != c.want {
			t.Errorf("%s %+v: %+v, %v, want %+v", c.app, c.r, got, err, c.want)
		}
	}
}

// growing is a monitor of a machine that grows up to its most.
type growing struct {
	vmhost.Monitor
	asked []int
	most  int
}

func (g *growing) Grow(_ context.Context, mib int) error {
	g.asked = append(g.asked, mib)
	if mib > g.most {
		return errors.New("the guest takes no more")
	}
	return nil
}

// TestGrowth follows the machine's size, and undoes what did not come to its end.
func TestGrowth(t *testing.T) {
	m := &growing{most: 512}
	f := New(fakeVMM{})
	f.monitor = m
	f.m = &vmhost.Machine{Size: vmhost.Size{MemoryMiB: 256, CPUs: 1}, GrowMiB: 1024, Accel: vmhost.KVM}
	f.m.Config, _ = vmhost.ParseConfig(nil)
	f.m.Spec.Pod.Apps = []poddir.App{{Name: "a"}}
	f.limits.begin(f.m)
	mib := func(n int64) poddir.Resources { return poddir.Resources{MemoryBytes: n << 20} }
	pod := func(r poddir.Resources) *poddir.Pod {
		return &poddir.Pod{Apps: []poddir.App{{Name: "a", Resources: r}}}
	}
	for _, c := range []struct {
		r    poddir.Resources
		grow int
		want string
	}{
		{mib(128), 0, ""}, {mib(16), 0, ""}, {mib(129), 16, ""}, {mib(640), 512, ""}, {mib(1152), 1024, ""},
		{mib(1153), 0, "the most that this one can be is 1280"},
		{poddir.Resources{CPUMillis: 1000}, 0, ""},
	} {
		grow, err := f.growth(pod(c.r))
		if grow != c.grow || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %d, %v", c.r, grow, err)
		}
	}
	if runtime.NumCPU() > 1 {
		_, err := f.growth(pod(poddir.Resources{CPUMillis: 1001}))
		var refused *supervise.Refusal
		if !errors.As(err, &refused) || refused.Kind != poddir.ControlRefused || !strings.HasPrefix(refused.Text, "app.cpu: the apps' limits come to 2 processors, the machine has 1") {
			t.Errorf("two processors: %v", err)
		}
	}
	if err := f.resize(512); err != nil {
		t.Error(err)
	}
	f.limits.grow = 512
	var refused *supervise.Refusal
	if err := f.resize(1024); !errors.As(err, &refused) || refused.Kind != poddir.ControlBusy {
		t.Errorf("%v", err)
	}
	if got := m.asked; len(got) != 3 || got[2] != 512 {
		t.Errorf("asked for %v, the last is to undo", got)
	}
}
