package stage1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/proto/poddir"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

// killRun kills Run at random moments.
func killRun(ctx context.Context, e *suite.Env, p *pod.Pod) error {
	for range 4 {
		c, proc, err := client(ctx, e, p)
		if err != nil {
			return err
		}
		done := make(chan struct{})
		go func() {
			_, _ = c.Run(ctx, &stage1v1.RunRequest{PodDir: p.Dir, PodUuid: p.Doc.UUID})
			close(done)
		}()
		select {
		case <-time.After(e.Between(15 * time.Millisecond)):
		case <-done:
		}
		proc.Kill()
		<-done
		if err := proc.Close(); err != nil {
			return err
		}
	}
	return nil
}

func pidFile(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	pid, err := poddir.ReadPid(p.Dir)
	if err != nil {
		return err
	}
	if pid != p.Pid() {
		return fmt.Errorf("the file pid says %d, the supervisor is %d", pid, p.Pid())
	}
	return nil
}

func readyFile(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e, pod.App("one", "sleep"), pod.App("two", "sleep"))
	if err != nil {
		return err
	}
	for _, app := range []string{"one", "two"} {
		s := p.Status(app)
		if s == nil || s.State != poddir.AppRunning {
			return fmt.Errorf("the pod is ready, and the status of app %q is %+v", app, s)
		}
		if s.Schema != poddir.Schema || s.Started.IsZero() {
			return fmt.Errorf("the status of app %q has schema %d and started %v", app, s.Schema, s.Started)
		}
	}
	return nil
}

func lock(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	held, err := p.Locked()
	if err != nil {
		return err
	}
	if !held {
		return errors.New("the pod runs, and its lock is free")
	}
	p.Kill()
	return free(p, e.Within(endLimit))
}

// outcome checks the three places in which an app's end is to be seen.
func outcome(p *pod.Pod, app string, code, got int) error {
	s := p.Status(app)
	if s == nil || s.State != poddir.AppExited || s.Code != code || s.Finished.IsZero() {
		return fmt.Errorf("status of app %q is %+v, want it exited with %d%s", app, s, code, p.Said())
	}
	exit, err := p.Exit()
	if err != nil {
		return err
	}
	if exit.Schema != poddir.Schema || exit.Code != code || exit.Finished.IsZero() || exit.Stopped {
		return fmt.Errorf("the file exit says %+v, want code %d", exit, code)
	}
	if code != 0 && exit.App != app {
		return fmt.Errorf("the file exit says that the status is app %q's, it is app %q's", exit.App, app)
	}
	if got != code {
		return fmt.Errorf("the supervisor ended with %d, want %d%s", got, code, p.Said())
	}
	return nil
}

func exitStatus(ctx context.Context, e *suite.Env) error {
	for _, code := range []int{0, 7} {
		p, got, err := ended(ctx, e, pod.App("one", "exit", fmt.Sprint(code)))
		if err != nil {
			return err
		}
		if err := outcome(p, "one", code, got); err != nil {
			return err
		}
	}
	return nil
}

func exitSignal(ctx context.Context, e *suite.Env) error {
	p, got, err := ended(ctx, e, pod.App("one", "signal", "9"))
	if err != nil {
		return err
	}
	if err := outcome(p, "one", 137, got); err != nil {
		return err
	}
	if s := p.Status("one"); s.Signal != "SIGKILL" {
		return fmt.Errorf("status says that signal %q ended the app, want SIGKILL", s.Signal)
	}
	return nil
}

func notExecuted(ctx context.Context, e *suite.Env) error {
	for argv, code := range map[string]int{"/no/such/program": 127, "/data/plain": 126} {
		a := pod.App("one")
		a.Argv = []string{argv}
		p, got, err := ended(ctx, e, a)
		if err != nil {
			return err
		}
		if err := outcome(p, "one", code, got); err != nil {
			return fmt.Errorf("%s: %w", argv, err)
		}
		if p.Status("one").Reason == "" {
			return fmt.Errorf("%s: status has no reason", argv)
		}
	}
	return nil
}

func oneFails(ctx context.Context, e *suite.Env) error {
	// The first app waits to be stopped; were it not, the pod would never end.
	p, got, err := ended(ctx, e, pod.App("one", "sleep"), pod.App("two", "exit", "9"))
	if err != nil {
		return err
	}
	if s := p.Status("one"); s == nil || s.State != poddir.AppExited {
		return fmt.Errorf("the other app's status is %+v", s)
	}
	return outcome(p, "two", 9, got)
}

// lastOne: the second app has its word a second after the first has ended.
func lastOne(ctx context.Context, e *suite.Env) error {
	p, got, err := ended(ctx, e, pod.App("one", "exit", "0"), pod.App("two", "pause", "1000", "say", "last", "exit", "0"))
	if err != nil {
		return err
	}
	if !slices.Contains(p.Lines(), "last") {
		return fmt.Errorf("one of two apps has succeeded, and the pod ended before the other one did%s", p.Said())
	}
	return errors.Join(outcome(p, "one", 0, got), outcome(p, "two", 0, got))
}

func surroundings(ctx context.Context, e *suite.Env) error {
	p, r, err := report(ctx, e, func(_ *pod.Pod, a *poddir.App) {
		a.Env = append(a.Env, "WORD=with spaces and =", "EMPTY=")
		a.Dir, a.User, a.Group, a.SupplementaryGIDs = "/data", "1000", "1000", []uint32{5, 6}
	})
	if err != nil {
		return err
	}
	want := p.Doc.Apps[0]
	if !slices.Equal(r.Args, want.Argv) {
		return fmt.Errorf("its arguments are %q, want %q", r.Args, want.Argv)
	}
	for _, kv := range want.Env {
		if !slices.Contains(r.Env, kv) {
			return fmt.Errorf("its environment %q lacks %q", r.Env, kv)
		}
	}
	for _, kv := range r.Env {
		// A few of every Unix program's are given where pod.json has none.
		k, _, _ := strings.Cut(kv, "=")
		if !slices.Contains(want.Env, kv) && !slices.Contains([]string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "HOSTNAME", "AC_APP_NAME", "container"}, k) {
			return fmt.Errorf("its environment holds %q, which pod.json does not name", kv)
		}
	}
	if r.Dir != "/data" {
		return fmt.Errorf("it runs in %q, want /data", r.Dir)
	}
	groups := slices.DeleteFunc(slices.Clone(r.Groups), func(g int) bool { return g == 1000 })
	slices.Sort(groups)
	if r.UID != 1000 || r.GID != 1000 || !slices.Equal(groups, []int{5, 6}) {
		return fmt.Errorf("it runs as %d:%d with groups %v, want 1000:1000 with 5 and 6", r.UID, r.GID, r.Groups)
	}
	return nil
}

func descriptors(ctx context.Context, e *suite.Env) error {
	_, r, err := report(ctx, e, nil)
	if err != nil {
		return err
	}
	if len(r.FDs) != 3 {
		return fmt.Errorf("it has the descriptors %q, want 0, 1 and 2", r.FDs)
	}
	return nil
}

func input(ctx context.Context, e *suite.Env) error {
	_, r, err := report(ctx, e, nil)
	if err != nil {
		return err
	}
	if r.Stdin != "null" {
		return fmt.Errorf("without a word in pod.json standard input is %q, want /dev/null", r.Stdin)
	}
	if err := root(); err != nil {
		return err
	}
	a := pod.App("one", "cat", "exit", "3")
	a.Stdin = poddir.StdinStream
	p, err := start(ctx, e, a)
	if err != nil {
		return err
	}
	if err := errors.Join(p.Type(testapp.Mark+"typed\n"), p.CloseInput()); err != nil {
		return err
	}
	if err := p.Hear(e.Within(startLimit), "typed"); err != nil {
		return err
	}
	if code, err := p.Wait(e.Within(endLimit)); err != nil || code != 3 {
		return fmt.Errorf("after the end of its input the pod ended with %d, want 3: %w", code, err)
	}
	return nil
}

// finish: the program that a supervisor becomes is the same process, and core's lock is its.
func finish(ctx context.Context, e *suite.Env) error {
	if err := root(); err != nil {
		return err
	}
	p, err := newPod(e, pod.App("one", "exit", "4"))
	if err != nil {
		return err
	}
	to := filepath.Join(filepath.Dir(filepath.Dir(p.Dir)), "finished")
	p.Runtime.Finish = []string{filepath.Join(p.Layer, testapp.Name), "finish", to, "exit", "44"}
	if err := errors.Join(p.Write(), launch(ctx, e, p)); err != nil {
		return err
	}
	code, err := p.Wait(e.Within(startLimit))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(to)
	if err != nil || code != 44 {
		return fmt.Errorf("the supervisor ended with %d and did not become the program of runtime.json: %w%s", code, err, p.Said())
	}
	var r testapp.Report
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	if r.Pid != p.Pid() {
		return fmt.Errorf("the finish program is process %d, the supervisor was %d", r.Pid, p.Pid())
	}
	locked := slices.ContainsFunc(r.Env, func(kv string) bool { return strings.HasPrefix(kv, "RKT_FDS=") && strings.Contains(kv, "lock:") })
	has := slices.ContainsFunc(r.FDs, func(fd string) bool { return strings.HasSuffix(fd, p.Dir) })
	if !locked || !has {
		return fmt.Errorf("the finish program was given no lock: descriptors %q", r.FDs)
	}
	if exit, err := p.Exit(); err != nil || exit.Code != 4 {
		return fmt.Errorf("the file exit says %+v before the finish program, want code 4: %w", exit, err)
	}
	return nil
}

func restart(ctx context.Context, e *suite.Env) error {
	p, err := running(ctx, e)
	if err != nil {
		return err
	}
	p.Kill()
	if err := errors.Join(gone(p, e.Within(endLimit)), free(p, e.Within(endLimit)), cleanup(ctx, e, p)); err != nil {
		return err
	}
	p.Doc.Apps[0].Argv = pod.App("one", "exit", "5").Argv
	if err := errors.Join(p.Write(), launch(ctx, e, p)); err != nil {
		return fmt.Errorf("the second start: %w", err)
	}
	code, err := p.Wait(e.Within(startLimit))
	if err != nil {
		return fmt.Errorf("the second start: %w", err)
	}
	if err := outcome(p, "one", 5, code); err != nil {
		return fmt.Errorf("the second start: %w", err)
	}
	return nil
}

func orphan(ctx context.Context, e *suite.Env) error {
	p, code, err := ended(ctx, e, pod.App("one", "spawn", "exit", "0"))
	if err != nil {
		return err
	}
	if code != 0 || !slices.ContainsFunc(p.Lines(), func(l string) bool { return strings.HasPrefix(l, "spawned ") }) {
		return fmt.Errorf("an app that leaves a child ended with %d%s", code, p.Said())
	}
	return gone(p, e.Within(endLimit))
}

func detached(ctx context.Context, e *suite.Env) error {
	if err := root(); err != nil {
		return err
	}
	p, err := newPod(e, pod.App("one", "say", "to-the-log", "exit", "0"))
	if err != nil {
		return err
	}
	p.Runtime.Detached = true
	if err := errors.Join(p.Write(), launch(ctx, e, p)); err != nil {
		return err
	}
	if _, err := p.Wait(e.Within(startLimit)); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(p.Dir, poddir.LogsDir, "one.log"))
	if err != nil {
		return err
	}
	if !slices.Contains(pod.Lines(string(b)), "to-the-log") {
		return fmt.Errorf("logs/one.log is %q, and lacks what the app printed", b[:min(len(b), 100)])
	}
	if slices.Contains(p.Lines(), "to-the-log") {
		return errors.New("a detached pod's output went to the supervisor's stdout")
	}
	return nil
}
