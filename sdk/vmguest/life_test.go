package vmguest_test

import (
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// TestKill: what still runs is killed, what it wrote has come, and the writable disk keeps what was written.
func TestKill(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs", "mke2fs", "dumpe2fs")
	k := findKernel(t)
	rw := upper(t)
	disks := slices.Concat(disk("layer0", layer(t), true), disk("rw", rw, false))

	v := boot(t, k, nil, disks...)
	if _, err := v.Enter(v.ctx(), agent.EnterSpec{App: "stubborn"}); err == nil {
		t.Error("enter before the start")
	}
	bulk := app("bulk", `dd if=/dev/zero bs=1M count=64 2>/dev/null; touch /vol/go`)
	stubborn := app("stubborn", `trap '' TERM; echo kept > /file; until [ -e /vol/go ]; do sleep 0.1; done; n=0; while :; do n=$((n+1)); echo line $n; done`)
	bulk.Mounts = []poddir.Mount{{Volume: "empty", Target: "/vol"}}
	stubborn.Mounts = bulk.Mounts
	quiet := app("quiet", `echo nobody reads this; sleep 1000 & sleep 1000`)
	early := app("early", `exec sleep 1000`)
	early.Handlers = []poddir.EventHandler{{Name: "pre-start", Exec: []string{"/bin/sh", "-c", "echo handler ran"}}}
	spec := podSpec(stubborn, bulk, quiet, early)
	spec.Pod.Volumes = []poddir.Volume{{Name: "empty", Kind: poddir.VolumeEmpty}}
	spec.Volumes = []agent.Volume{{Name: "empty", Kind: agent.VolumeEmpty}}
	v.start(spec)
	if err := v.Start(v.ctx(), spec); err == nil {
		t.Error("started twice")
	}
	began := time.Now()
	e := v.next(agent.EventExited)
	if e.App != "bulk" || e.Code != 0 {
		t.Errorf("%+v", e)
	}
	for len(v.output("bulk")) < 64<<20 {
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("64 MiB of output took %v", time.Since(began).Round(time.Millisecond))
	if err := v.Signal(v.ctx(), agent.Target{App: "stubborn"}, 15); err != nil {
		t.Error(err)
	}
	p, err := v.Enter(v.ctx(), agent.EnterSpec{App: "quiet", Command: []string{"/bin/sh", "-c", "echo in; exec sleep 1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p.Stdout, make([]byte, 3)); err != nil {
		t.Error(err)
	}
	v.await("stubborn", "line 2\n")
	v.await("early", "handler ran")
	began = time.Now()
	if err := v.Kill(v.ctx()); err != nil {
		t.Error(err)
	}
	t.Logf("kill took %v", time.Since(began).Round(time.Millisecond))
	v.copies.Wait()
	if out, err := io.ReadAll(p.Stdout); err != nil || len(out) != 0 {
		t.Errorf("%q, %v", out, err)
	}
	if e, err := p.Wait(v.ctx()); err != nil || e.Code != 137 && e.Signal != 9 {
		t.Errorf("enter ended with %+v, %v", e, err)
	}
	for app, e := range v.exits(3) {
		if e.Signal != 9 || e.OOM {
			t.Errorf("%s: %+v", app, e)
		}
	}
	if out := v.output("stubborn"); !strings.HasPrefix(out, "line 1\nline 2\n") || len(out) < 100 {
		t.Errorf("stubborn wrote %.100q", out)
	}
	if err := v.Kill(v.ctx()); err != nil {
		t.Errorf("kill again: %v", err)
	}
	if _, err := v.Enter(v.ctx(), agent.EnterSpec{App: "quiet"}); err == nil {
		t.Error("enter after the end")
	}
	if err := v.PowerOff(v.ctx(), true); err != nil { // as kvmtool wants it; QEMU ends at a reboot, too
		t.Error(err)
	}
	v.over()

	v = boot(t, k, nil, disks...)
	v.start(podSpec(app("stubborn", `cat /file`)))
	v.exits(1)
	v.down()
	if out := v.output("stubborn"); out != "kept\n" {
		t.Errorf("the second start reads %q; %s", out, v.outputs["stubborn/stderr"])
	}
	if out, err := exec.Command("dumpe2fs", "-h", rw).CombinedOutput(); err != nil || strings.Contains(string(out), "needs_recovery") {
		t.Errorf("the disk was not unmounted: %v\n%s", err, out)
	}
}

// TestCannotStart: what is wrong with a pod is said, and the guest can still be switched off.
func TestCannotStart(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	v := boot(t, findKernel(t), nil, disk("layer0", layer(t), true)...)
	a := app("a", "true")
	a.Mounts = []poddir.Mount{{Volume: "none", Target: "/x"}}
	spec := podSpec(app("first", "true"), a)
	spec.Upper = nil
	v.start(spec)
	if e := v.next(agent.EventFailed, agent.EventStarted); e.Kind != agent.EventFailed || !strings.Contains(e.Text, `"none"`) {
		t.Errorf("%+v", e)
	}
	v.down()
}

// TestVMMKilled: a guest that is gone is known to be, and nothing waits for it.
func TestVMMKilled(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	v := boot(t, findKernel(t), nil, disk("layer0", layer(t), true)...)
	spec := podSpec(app("a", `echo ready; exec sleep 1000`))
	spec.Upper = nil
	v.start(spec)
	v.await("a", "ready")
	p, err := v.Enter(v.ctx(), agent.EnterSpec{App: "a", Command: []string{"/bin/sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.qemu.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	v.over()
	<-v.Done()
	v.copies.Wait()
	for e := range v.Events() {
		if e.Kind == agent.EventExited {
			t.Errorf("%+v", e)
		}
	}
	if _, err := p.Wait(v.ctx()); !errors.Is(err, agent.ErrClosed) {
		t.Errorf("wait: %v", err)
	}
	if err := v.Kill(v.ctx()); !errors.Is(err, agent.ErrClosed) {
		t.Errorf("kill: %v", err)
	}
}

// TestMemory says what the guest's own half takes of the pod's memory.
func TestMemory(t *testing.T) {
	need(t, "qemu-system-x86_64", "mkfs.erofs")
	v := boot(t, findKernel(t), nil, disk("layer0", layer(t), true)...)
	// With CAP_SYS_ADMIN and no masks an app could see it; here /proc/meminfo and the pod's PID 1 are enough.
	a := app("a", `sleep 3; head -n 3 /proc/meminfo; grep -E 'VmRSS|RssAnon' /proc/1/status; echo done; exec sleep 1000`)
	spec := podSpec(a)
	spec.Upper = nil
	v.start(spec)
	v.await("a", "done")
	t.Logf("of 512 MiB: %s", v.output("a"))
	v.down()
}
