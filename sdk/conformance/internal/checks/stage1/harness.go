package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rkt/rkt/v2/proto/poddir"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// newPod makes a pod directory that ends with the check.
func newPod(e *suite.Env, apps ...poddir.App) (*pod.Pod, error) {
	base, err := e.Dir()
	if err != nil {
		return nil, err
	}
	p, err := pod.New(base, e.Provision().Flavor, e.App, apps...)
	if err != nil {
		return nil, err
	}
	e.Defer(p.Close)
	return p, nil
}

// client is a fresh plugin for one verb, as core starts one.
func client(ctx context.Context, e *suite.Env, p *pod.Pod) (stage1v1.Stage1ServiceClient, *process.Process, error) {
	proc, err := e.Ready(ctx, process.Options{FDs: p.FDs()})
	if err != nil {
		return nil, nil, err
	}
	return stage1v1.NewStage1ServiceClient(proc.Conn), proc, nil
}

// ask calls one verb of a fresh plugin and ends it.
func ask[Resp any](ctx context.Context, e *suite.Env, p *pod.Pod, verb func(stage1v1.Stage1ServiceClient) (Resp, error)) (Resp, error) {
	c, proc, err := client(ctx, e, p)
	if err != nil {
		var none Resp
		return none, err
	}
	resp, err := verb(c)
	return resp, errors.Join(err, proc.Close())
}

func validate(ctx context.Context, e *suite.Env, p *pod.Pod) ([]*pluginv1.Diagnostic, error) {
	resp, err := ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.ValidateResponse, error) {
		return c.Validate(ctx, &stage1v1.ValidateRequest{PodDir: p.Dir})
	})
	return resp.GetDiagnostics(), err
}

// refusal is the first error diagnostic.
func refusal(ds []*pluginv1.Diagnostic) *pluginv1.Diagnostic {
	for _, d := range ds {
		if d.GetSeverity() != pluginv1.Diagnostic_SEVERITY_WARNING {
			return d
		}
	}
	return nil
}

// able skips when Validate says that the flavor cannot run the pod: that is not claimed then.
func able(ctx context.Context, e *suite.Env, p *pod.Pod) error {
	ds, err := validate(ctx, e, p)
	if err != nil {
		return err
	}
	if d := refusal(ds); d != nil {
		return suite.Skip("the flavor says that it cannot run such a pod: %s: %s", d.GetField(), d.GetSummary())
	}
	return nil
}

func plan(ctx context.Context, e *suite.Env, p *pod.Pod) (*stage1v1.ExecPlan, error) {
	return ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.ExecPlan, error) {
		return c.Run(ctx, &stage1v1.RunRequest{PodDir: p.Dir, PodUuid: p.Doc.UUID})
	})
}

// root skips where nobody but root gets further.
func root() error {
	if os.Geteuid() != 0 {
		return suite.Skip("pods are run by root")
	}
	return nil
}

// start runs a pod of the apps up to its supervisor.
func start(ctx context.Context, e *suite.Env, apps ...poddir.App) (*pod.Pod, error) {
	if err := root(); err != nil {
		return nil, err
	}
	p, err := newPod(e, apps...)
	if err != nil {
		return nil, err
	}
	return p, launch(ctx, e, p)
}

// launch is start for a pod directory that is there.
func launch(ctx context.Context, e *suite.Env, p *pod.Pod) error {
	if err := able(ctx, e, p); err != nil {
		return err
	}
	if err := p.Lock(); err != nil {
		return err
	}
	ep, err := plan(ctx, e, p)
	if err != nil {
		return fmt.Errorf("Run: %w", err)
	}
	return p.Start(e.Plugin.Dir, e.Manifest.Exec, ep)
}

// ended is a pod that was run to its end.
func ended(ctx context.Context, e *suite.Env, apps ...poddir.App) (*pod.Pod, int, error) {
	p, err := start(ctx, e, apps...)
	if err != nil {
		return p, 0, err
	}
	code, err := p.Wait(e.Within(startLimit))
	return p, code, err
}

// running is a pod of one app that sleeps, and is ready.
func running(ctx context.Context, e *suite.Env, apps ...poddir.App) (*pod.Pod, error) {
	if len(apps) == 0 {
		apps = []poddir.App{pod.App("one", "sleep")}
	}
	p, err := start(ctx, e, apps...)
	if err != nil {
		return p, err
	}
	if err := p.Ready(e.Within(startLimit)); err != nil {
		return p, err
	}
	// Ready says that the programs were executed; the kit's have to come as far as their word.
	for _, a := range apps {
		if last := a.Argv[len(a.Argv)-1]; last == "sleep" {
			if err := p.Hear(e.Within(startLimit), "waiting"); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

func cleanup(ctx context.Context, e *suite.Env, p *pod.Pod) error {
	if err := p.Lock(); err != nil {
		return err
	}
	_, err := ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.CleanupResponse, error) {
		return c.Cleanup(ctx, &stage1v1.CleanupRequest{PodDir: p.Dir})
	})
	return errors.Join(err, p.Unlock())
}

func stopPod(ctx context.Context, e *suite.Env, p *pod.Pod, req *stage1v1.StopRequest) error {
	req.PodDir = p.Dir
	_, err := ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.StopResponse, error) { return c.Stop(ctx, req) })
	return err
}

// report is what an app sees that runs in a pod of its own.
func report(ctx context.Context, e *suite.Env, change func(p *pod.Pod, a *poddir.App)) (*pod.Pod, *testapp.Report, error) {
	if err := root(); err != nil {
		return nil, nil, err
	}
	p, err := newPod(e, pod.App("one", "report", "r", "exit", "0"))
	if err != nil {
		return nil, nil, err
	}
	if change != nil {
		change(p, &p.Doc.Apps[0])
		if err := p.Write(); err != nil {
			return nil, nil, err
		}
	}
	if err := launch(ctx, e, p); err != nil {
		return p, nil, err
	}
	r, err := p.Report(e.Within(startLimit), "r")
	if err != nil {
		return p, nil, err
	}
	if code, err := p.Wait(e.Within(endLimit)); err != nil || code != 0 {
		return p, nil, fmt.Errorf("the pod ended with %d, %w%s", code, err, p.Said())
	}
	return p, r, nil
}

// gone waits until no process of the pod is left.
func gone(p *pod.Pod, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		left := p.Left()
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", left[0]))
			return fmt.Errorf("%d processes of the pod live on, the first is %d (%q)", len(left), left[0], b)
		}
	}
}

// free waits until the pod's lock is free.
func free(p *pod.Pod, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		held, err := p.Locked()
		if err != nil || !held {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the pod's lock is held though its supervisor has ended")
		}
	}
}
