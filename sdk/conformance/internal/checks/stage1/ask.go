package stage1

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/grpc"
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

// snapshot is every name in a pod directory with its kind, size and first bytes, but for what is below stage1: that is the
// flavor's own, and may be a disk of terabytes.
func snapshot(dir string) ([]string, error) {
	const most = 1 << 20
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == filepath.Join(dir, poddir.Stage1Dir) {
			return fs.SkipDir
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v", strings.TrimPrefix(path, dir), d.Type())
		if fi.Mode().IsRegular() {
			h := sha256.New()
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			_, err = io.Copy(h, io.LimitReader(f, most))
			f.Close()
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", fi.Size(), h.Sum(nil))
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

func attachEnded(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	_, err = ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.ExecPlan, error) {
		return c.Attach(ctx, &stage1v1.AttachRequest{PodDir: p.Dir, App: "one", Streams: []string{"stdout"}})
	})
	return answer.Want(err, reason.PodNotRunning)
}

func changeEnded(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	c, _, err := client(ctx, e, p)
	if err != nil {
		return err
	}
	req := &stage1v1.AppRequest{PodDir: p.Dir, App: "one"}
	for name, verb := range map[string]func(context.Context, *stage1v1.AppRequest, ...grpc.CallOption) (*stage1v1.AppResponse, error){
		"AddApp": c.AddApp, "StartApp": c.StartApp, "StopApp": c.StopApp, "RemoveApp": c.RemoveApp,
	} {
		if _, err := verb(ctx, req); answer.Reason(err) != reason.PodNotRunning {
			return fmt.Errorf("%s: %w", name, answer.Want(err, reason.PodNotRunning))
		}
	}
	return nil
}

func limitEnded(ctx context.Context, e *suite.Env) error {
	p, err := newPod(e, pod.App("one", "exit", "0"))
	if err != nil {
		return err
	}
	_, err = ask(ctx, e, p, func(c stage1v1.Stage1ServiceClient) (*stage1v1.UpdateResourcesResponse, error) {
		return c.UpdateResources(ctx, &stage1v1.UpdateResourcesRequest{PodDir: p.Dir, App: "one", MemoryBytes: 64 << 20})
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
