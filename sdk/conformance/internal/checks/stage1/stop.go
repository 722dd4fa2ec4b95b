package stage1

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// stopped checks that the pod says that somebody stopped it.
func stopped(e *suite.Env, p *pod.Pod, code int) error {
	got, err := p.Wait(e.Within(endLimit))
	if err != nil {
		return err
	}
	exit, err := p.Exit()
	if err != nil {
		return err
	}
	if !exit.Stopped || exit.Code != code || got != code {
		return fmt.Errorf("a stopped pod's file exit says %+v and its supervisor ended with %d, want stopped with %d%s", exit, got, code, p.Said())
	}
	return nil
}

func stop(ctx context.Context, e *suite.Env) error {
	a := pod.App("one", "until", "10")
	a.StopSignal = "SIGUSR1"
	p, err := running(ctx, e, a)
	if err != nil {
		return err
	}
	if err := p.Hear(e.Within(startLimit), "waiting"); err != nil {
		return err
	}
	for range 2 { // the second finds it stopping, or ended
		if err := stopPod(ctx, e, p, &stage1v1.StopRequest{}); err != nil {
			return err
		}
	}
	if err := stopped(e, p, 0); err != nil {
		return err
	}
	if !slices.Contains(p.Lines(), "got 10") {
		return fmt.Errorf("the app did not get its stop signal SIGUSR1%s", p.Said())
	}
	return nil
}

func stopGrace(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e, pod.App("one", "stubborn"))
	if err != nil {
		return err
	}
	if err := p.Hear(e.Within(startLimit), "stubborn"); err != nil {
		return err
	}
	start := time.Now()
	if err := stopPod(ctx, e, p, &stage1v1.StopRequest{GraceSeconds: 1}); err != nil {
		return err
	}
	if err := stopped(e, p, 137); err != nil {
		return err
	}
	if took := time.Since(start); took < 900*time.Millisecond {
		return fmt.Errorf("an app that ignores its stop signal was killed after %v, its grace time is 1 s", took)
	}
	if s := p.Status("one"); s == nil || s.Code != 137 {
		return fmt.Errorf("the app's status is %+v, want code 137", s)
	}
	return gone(p, e.Within(endLimit))
}

func stopForce(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e, pod.App("one", "stubborn"))
	if err != nil {
		return err
	}
	if err := p.Hear(e.Within(startLimit), "stubborn"); err != nil {
		return err
	}
	if err := stopPod(ctx, e, p, &stage1v1.StopRequest{Force: true, GraceSeconds: 600}); err != nil {
		return err
	}
	return errors.Join(stopped(e, p, 137), gone(p, e.Within(endLimit)))
}

func stopSignal(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	if err := p.Signal(unix.SIGTERM); err != nil {
		return err
	}
	return stopped(e, p, 0)
}

func crash(ctx context.Context, e *suite.Env) error {
	// What the app leaves in sessions of its own is for core, which kills the pod's cgroup.
	p, err := running(ctx, e, pod.App("one", "stubborn"))
	if err != nil {
		return err
	}
	if err := p.Hear(e.Within(startLimit), "stubborn"); err != nil {
		return err
	}
	p.Kill()
	return errors.Join(free(p, e.Within(endLimit)), gone(p, e.Within(endLimit)))
}

func crashClean(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	p.Kill()
	if err := gone(p, e.Within(endLimit)); err != nil {
		return err
	}
	for range 2 {
		if err := cleanup(ctx, e, p); err != nil {
			return err
		}
	}
	if left := p.Mounts(); len(left) > 0 {
		return fmt.Errorf("%d mounts are left below the pod directory, the first is %s", len(left), left[0])
	}
	return nil
}

func clean(ctx context.Context, e *suite.Env) error {
	p, _, err := ended(ctx, e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	if err := errors.Join(gone(p, e.Within(endLimit)), cleanup(ctx, e, p)); err != nil {
		return err
	}
	if left := p.Mounts(); len(left) > 0 {
		return fmt.Errorf("%d mounts are left below the pod directory, the first is %s", len(left), left[0])
	}
	if p.Has(poddir.ControlSock) {
		return errors.New("the control socket of an ended pod is left")
	}
	return os.RemoveAll(p.Dir) // which fails when something is busy
}

// control speaks with the supervisor itself.
func control(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	fi, err := os.Lstat(filepath.Join(p.Dir, poddir.ControlSock))
	if err != nil {
		return err
	}
	if fi.Mode()&os.ModeSocket == 0 || fi.Mode().Perm() != 0o600 {
		return fmt.Errorf("%s has the mode %v, want a socket with 0600", poddir.ControlSock, fi.Mode())
	}
	dir, err := os.Open(p.Dir) // a short name, wherever the directory is
	if err != nil {
		return err
	}
	defer dir.Close()
	c, err := net.Dial("unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), poddir.ControlSock))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(endLimit)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	for _, line := range []struct {
		text string
		ok   bool
	}{{`{"op":"from-a-later-minor"}`, false}, {`{"op":"stop","later":1}`, true}} {
		if _, err := fmt.Fprintln(c, line.text); err != nil {
			return err
		}
		b, err := r.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("reply to %s: %w", line.text, err)
		}
		var reply poddir.ControlReply
		if err := json.Unmarshal(b, &reply); err != nil {
			return fmt.Errorf("reply to %s: %w", line.text, err)
		}
		if reply.OK != line.ok || reply.OK != (reply.Error == "") {
			return fmt.Errorf("the reply to %s is %s", line.text, b)
		}
	}
	return stopped(e, p, 0)
}
