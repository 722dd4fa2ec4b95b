package stage1

import (
	"context"
	"time"

	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
	"github.com/rkt/rkt/v2/sdk/internal/serve"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// server translates between the wire and the interfaces.
type server struct {
	stage1v1.UnimplementedStage1ServiceServer
	impl  Stage1
	netns int // the donated descriptor, or -1
}

func (s *server) Validate(ctx context.Context, req *stage1v1.ValidateRequest) (*stage1v1.ValidateResponse, error) {
	ds, err := s.impl.Validate(ctx, req.GetPodDir())
	if err != nil {
		return nil, err
	}
	return &stage1v1.ValidateResponse{Diagnostics: serve.Diagnostics(ds)}, nil
}

func (s *server) Run(ctx context.Context, req *stage1v1.RunRequest) (*stage1v1.ExecPlan, error) {
	return plan(s.impl.Run(ctx, RunRequest{
		PodDir: req.GetPodDir(), PodUUID: req.GetPodUuid(), Debug: req.GetDebug(), Netns: s.netns,
	}))
}

func (s *server) Enter(ctx context.Context, req *stage1v1.EnterRequest) (*stage1v1.ExecPlan, error) {
	e, ok := s.impl.(Enterer)
	if !ok {
		return nil, plugin.Unsupported("this stage1 cannot enter a pod")
	}
	return plan(e.Enter(ctx, EnterRequest{
		PodDir: req.GetPodDir(), App: req.GetApp(), Command: req.GetCommand(), TTY: req.GetTty(),
	}))
}

func (s *server) Attach(ctx context.Context, req *stage1v1.AttachRequest) (*stage1v1.ExecPlan, error) {
	a, ok := s.impl.(Attacher)
	if !ok {
		return nil, plugin.Unsupported("this stage1 cannot attach to an app")
	}
	return plan(a.Attach(ctx, AttachRequest{PodDir: req.GetPodDir(), App: req.GetApp(), Streams: req.GetStreams()}))
}

func plan(p ExecPlan, err error) (*stage1v1.ExecPlan, error) {
	if err != nil {
		return nil, err
	}
	return &stage1v1.ExecPlan{Program: p.Program, Args: p.Args, Env: p.Env, Cwd: p.Dir, KeepFds: p.KeepFDs}, nil
}

func (s *server) Stop(ctx context.Context, req *stage1v1.StopRequest) (*stage1v1.StopResponse, error) {
	st, ok := s.impl.(Stopper)
	if !ok {
		return nil, plugin.Unsupported("this stage1 cannot stop a pod in order")
	}
	err := st.Stop(ctx, StopRequest{
		PodDir: req.GetPodDir(), Force: req.GetForce(), Grace: seconds(req.GetGraceSeconds()),
	})
	if err != nil {
		return nil, err
	}
	return &stage1v1.StopResponse{}, nil
}

func seconds(n uint32) time.Duration { return time.Duration(n) * time.Second }

func (s *server) Stats(ctx context.Context, req *stage1v1.StatsRequest) (*stage1v1.StatsResponse, error) {
	st, ok := s.impl.(Statser)
	if !ok {
		return nil, plugin.Unsupported("this stage1 has no statistics")
	}
	apps, err := st.Stats(ctx, req.GetPodDir())
	if err != nil {
		return nil, err
	}
	resp := &stage1v1.StatsResponse{}
	for _, a := range apps {
		resp.Apps = append(resp.Apps, &stage1v1.AppStats{
			App: a.App, MemoryBytes: a.MemoryBytes, CpuNanoseconds: uint64(max(a.CPU, 0)), Pids: a.PIDs,
		})
	}
	return resp, nil
}

// mutate calls one of Mutator's methods.
func (s *server) mutate(ctx context.Context, req *stage1v1.AppRequest, call func(Mutator, context.Context, AppRequest) error) (*stage1v1.AppResponse, error) {
	m, ok := s.impl.(Mutator)
	if !ok {
		return nil, plugin.Unsupported("this stage1 cannot change a running pod")
	}
	err := call(m, ctx, AppRequest{PodDir: req.GetPodDir(), App: req.GetApp(), Grace: seconds(req.GetGraceSeconds())})
	if err != nil {
		return nil, err
	}
	return &stage1v1.AppResponse{}, nil
}

func (s *server) AddApp(ctx context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return s.mutate(ctx, req, Mutator.AddApp)
}

func (s *server) StartApp(ctx context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return s.mutate(ctx, req, Mutator.StartApp)
}

func (s *server) StopApp(ctx context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return s.mutate(ctx, req, Mutator.StopApp)
}

func (s *server) RemoveApp(ctx context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return s.mutate(ctx, req, Mutator.RemoveApp)
}

func (s *server) UpdateResources(ctx context.Context, req *stage1v1.UpdateResourcesRequest) (*stage1v1.UpdateResourcesResponse, error) {
	r, ok := s.impl.(Resizer)
	if !ok {
		return nil, plugin.Unsupported("this stage1 cannot change limits of a running app")
	}
	err := r.UpdateResources(ctx, Resources{
		PodDir: req.GetPodDir(), App: req.GetApp(), MemoryBytes: req.GetMemoryBytes(), CPUMillis: req.GetCpuMillis(),
		CPUShares: req.GetCpuShares(),
	})
	if err != nil {
		return nil, err
	}
	return &stage1v1.UpdateResourcesResponse{}, nil
}

// Cleanup without a Cleaner has nothing to remove.
func (s *server) Cleanup(ctx context.Context, req *stage1v1.CleanupRequest) (*stage1v1.CleanupResponse, error) {
	if c, ok := s.impl.(Cleaner); ok {
		if err := c.Cleanup(ctx, req.GetPodDir()); err != nil {
			return nil, err
		}
	}
	return &stage1v1.CleanupResponse{}, nil
}
