package stage1

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/proto/reason"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

func validates(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"), pod.App("two", "exit", "0"))
	if err != nil {
		return err
	}
	ds, err := validate(ctx, e, p)
	if err != nil {
		return err
	}
	if d := refusal(ds); d != nil {
		return fmt.Errorf("a plain pod of two apps: %s: %s", d.GetField(), d.GetSummary())
	}
	return nil
}

// snapshot is every name below dir with its kind, size and bytes.
func snapshot(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v", strings.TrimPrefix(path, dir), d.Type())
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(b))
		}
		out = append(out, line)
		return nil
	})
	return out, err
}

// difference is the first line that one of two snapshots has alone.
func difference(before, after []string) string {
	for _, l := range [][2][]string{{after, before}, {before, after}} {
		for _, line := range l[0] {
			if !slices.Contains(l[1], line) {
				return strings.Fields(line)[0]
			}
		}
	}
	return "the order of names"
}

func validatesAgain(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	before, err := snapshot(p.Dir)
	if err != nil {
		return err
	}
	first, err := ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.ValidateResponse, error) {
		return c.Validate(ctx, &stage1v1.ValidateRequest{PodDir: p.Dir})
	})
	if err != nil {
		return err
	}
	c, _, err := client(ctx, e, p)
	if err != nil {
		return err
	}
	for range 2 {
		again, err := c.Validate(ctx, &stage1v1.ValidateRequest{PodDir: p.Dir})
		if err != nil {
			return fmt.Errorf("the second time: %w", err)
		}
		if !proto.Equal(first, again) {
			return fmt.Errorf("first %v, then %v", first, again)
		}
	}
	after, err := snapshot(p.Dir)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return fmt.Errorf("it changed the pod directory: %s", difference(before, after))
	}
	return nil
}

// validatesLater adds keys at every depth, as a later minor does.
func validatesLater(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	path := filepath.Join(p.Dir, poddir.PodFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	later := strings.ReplaceAll(string(b), `{"`, `{"laterMinor":{"a":[1]},"`)
	if err := os.WriteFile(path, []byte(later), 0o640); err != nil {
		return err
	}
	ds, err := validate(ctx, e, p)
	if err != nil {
		return fmt.Errorf("with unknown keys in pod.json: %w", err)
	}
	if d := refusal(ds); d != nil {
		return fmt.Errorf("with unknown keys in pod.json: %s: %s", d.GetField(), d.GetSummary())
	}
	return nil
}

func validatesGarbage(ctx context.Context, e *suite.Env) error {
	for _, text := range []string{"", "{", "null garbage", `{"schema":1,"apps":"none"}`} {
		p, err := newPod(e, pod.App("one", "exit", "0"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(p.Dir, poddir.PodFile), []byte(text), 0o640); err != nil {
			return err
		}
		ds, err := validate(ctx, e, p)
		if err == nil && refusal(ds) == nil {
			return fmt.Errorf("a pod.json of %q is taken", text)
		}
		if err := answer.Known(err); err != nil {
			return fmt.Errorf("a pod.json of %q: %w", text, err)
		}
	}
	return nil
}

func validatesUnknown(ctx context.Context, e *suite.Env) error {
	a := pod.App("one", "exit", "0")
	a.Mounts = []poddir.Mount{{Volume: "v", Target: "/mnt"}}
	p, err := newPod(e, a)
	if err != nil {
		return err
	}
	p.Doc.Volumes = []poddir.Volume{{Name: "v", Kind: "from-a-later-minor"}}
	if err := p.Write(); err != nil {
		return err
	}
	ds, err := validate(ctx, e, p)
	if err != nil {
		return err
	}
	d := refusal(ds)
	if d == nil {
		return errors.New("a volume of an unknown kind is taken")
	}
	if d.GetSummary() == "" || d.GetField() == "" {
		return fmt.Errorf("the diagnostic about a volume of an unknown kind has no summary or no field: %v", d)
	}
	return nil
}

func enterEnded(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	_, err = ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.ExecPlan, error) {
		return c.Enter(ctx, &stage1v1.EnterRequest{PodDir: p.Dir, App: "one", Command: []string{"/x"}})
	})
	return answer.Want(err, reason.PodNotRunning)
}

func stopEnded(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	for _, req := range []*stage1v1.StopRequest{{}, {Force: true}, {GraceSeconds: 1}} {
		if err := stopPod(ctx, e, p, req); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(p.Dir); err != nil {
		return err
	}
	if err := stopPod(ctx, e, p, &stage1v1.StopRequest{}); err != nil {
		return fmt.Errorf("of a pod whose directory is gone: %w", err)
	}
	return nil
}

func statsEnded(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	_, err = ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.StatsResponse, error) {
		return c.Stats(ctx, &stage1v1.StatsRequest{PodDir: p.Dir})
	})
	return answer.Want(err, reason.PodNotRunning)
}

func cleanNothing(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	for range 2 {
		if err := cleanup(ctx, e, p); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(p.Dir, poddir.RuntimeFile)); err != nil {
		return err
	}
	if err := cleanup(ctx, e, p); err != nil {
		return fmt.Errorf("of a pod that was not started: %w", err)
	}
	return nil
}

func plans(ctx context.Context, e *suite.Env) error {
	if err := root(); err != nil {
		return err
	}
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	if err := errors.Join(able(ctx, e, p), p.Lock()); err != nil {
		return err
	}
	ep, err := plan(ctx, e, p)
	if err != nil {
		return err
	}
	return possible(e, ep)
}

// possible holds a plan against what core will do with it.
func possible(e *suite.Env, ep *stage1v1.ExecPlan) error {
	if name := ep.GetProgram(); name != "" && name != e.Manifest.Exec && !slices.Contains(e.Manifest.Programs, name) {
		return fmt.Errorf("the plan's program %q is neither exec nor one of the programs of plugin.json", name)
	}
	if cwd := ep.GetCwd(); cwd != "" {
		if fi, err := os.Stat(cwd); err != nil || !fi.IsDir() || !filepath.IsAbs(cwd) {
			return fmt.Errorf("the plan's directory %q is no absolute path of a directory", cwd)
		}
	}
	seen := map[string]bool{}
	for _, name := range ep.GetKeepFds() {
		if name != "lock" && name != "netns" || seen[name] {
			return fmt.Errorf("the plan keeps descriptor %q, of which core has none (more)", name)
		}
		seen[name] = true
	}
	for k, v := range ep.GetEnv() {
		if k == "" || k == "RKT_FDS" || strings.ContainsAny(k, "=\x00") || strings.ContainsRune(v, 0) {
			return fmt.Errorf("the plan sets variable %q, which core refuses", k)
		}
	}
	return nil
}

func plansAgain(ctx context.Context, e *suite.Env) error {
	if err := root(); err != nil {
		return err
	}
	p, err := newPod(e, pod.App("one", "exit", "7"))
	if err != nil {
		return err
	}
	if err := errors.Join(able(ctx, e, p), p.Lock()); err != nil {
		return err
	}
	first, err := plan(ctx, e, p)
	if err != nil {
		return err
	}
	if err := killRun(ctx, e, p); err != nil {
		return err
	}
	again, err := plan(ctx, e, p)
	if err != nil {
		return fmt.Errorf("the second time: %w", err)
	}
	if !proto.Equal(first, again) {
		return fmt.Errorf("first %v, then %v", first, again)
	}
	if err := p.Start(e.Plugin.Dir, e.Manifest.Exec, again); err != nil {
		return err
	}
	if code, err := p.Wait(e.Within(startLimit)); err != nil || code != 7 {
		return fmt.Errorf("a pod whose Run was repeated and killed ended with %d, want 7: %w%s", code, err, p.Said())
	}
	return nil
}

// plansInside looks at the pod directory, which is all that Run may write to but stage1.
func plansInside(ctx context.Context, e *suite.Env) error {
	if err := root(); err != nil {
		return err
	}
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	if err := errors.Join(able(ctx, e, p), p.Lock()); err != nil {
		return err
	}
	before, err := snapshot(p.Dir)
	if err != nil {
		return err
	}
	if _, err := plan(ctx, e, p); err != nil {
		return err
	}
	after, err := snapshot(p.Dir)
	if err != nil {
		return err
	}
	after = slices.DeleteFunc(after, func(line string) bool { return strings.HasPrefix(line, "/"+poddir.Stage1Dir) })
	if !slices.Equal(before, after) {
		return fmt.Errorf("Run changed %s of the pod directory", difference(before, after))
	}
	return nil
}
