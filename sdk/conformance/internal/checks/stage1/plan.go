package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

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
	if !slices.Equal(before, after) {
		return fmt.Errorf("Run changed %s of the pod directory", difference(before, after))
	}
	return nil
}
