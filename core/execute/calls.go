package execute

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/poddir"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
)

// Deadlines, as stage1.proto promises.
const (
	validateDeadline = 5 * time.Second
	runDeadline      = 10 * time.Minute
	shortDeadline    = 10 * time.Second
	cleanupDeadline  = 30 * time.Second
	updateDeadline   = time.Minute
)

// UnsupportedError says what a flavor cannot do of what a pod asks, field by field.
type UnsupportedError struct {
	Flavor      string
	Diagnostics []*pluginv1.Diagnostic
}

func (e *UnsupportedError) Error() string {
	var lines []string
	for _, d := range e.Diagnostics {
		s := d.GetSummary()
		if d.GetField() != "" {
			s = d.GetField() + ": " + s
		}
		if d.GetDetail() != "" {
			s += " (" + d.GetDetail() + ")"
		}
		lines = append(lines, s)
	}
	return fmt.Sprintf("stage1 %q cannot run this pod: %s", e.Flavor, strings.Join(lines, "; "))
}

// Validate asks whether the flavor can run the pod. Warnings are returned as texts.
func Validate(ctx context.Context, p *plugin.Process, flavor, podDir string) ([]string, error) {
	resp, err := plugin.Call(ctx, p, "validate pod", validateDeadline, func(ctx context.Context) (*stage1v1.ValidateResponse, error) {
		return p.Stage1().Validate(ctx, &stage1v1.ValidateRequest{PodDir: podDir})
	})
	if err != nil {
		return nil, err
	}
	var warnings []string
	unsupported := &UnsupportedError{Flavor: flavor}
	for _, d := range resp.GetDiagnostics() {
		if d.GetSeverity() == pluginv1.Diagnostic_SEVERITY_WARNING {
			warnings = append(warnings, d.GetSummary())
			continue
		}
		unsupported.Diagnostics = append(unsupported.Diagnostics, d) // an unknown severity is an error
	}
	if len(unsupported.Diagnostics) > 0 {
		return warnings, unsupported
	}
	return warnings, nil
}

// Run asks for the supervisor's command line.
func Run(ctx context.Context, p *plugin.Process, podDir, uuid string, debug bool) (*stage1v1.ExecPlan, error) {
	return plugin.Call(ctx, p, "run pod "+uuid, runDeadline, func(ctx context.Context) (*stage1v1.ExecPlan, error) {
		return p.Stage1().Run(ctx, &stage1v1.RunRequest{PodDir: podDir, PodUuid: uuid, Debug: debug})
	})
}

// Enter asks for the program that joins an app.
func Enter(ctx context.Context, p *plugin.Process, podDir, app string, argv []string, tty bool) (*stage1v1.ExecPlan, error) {
	return plugin.Call(ctx, p, "enter app "+app, shortDeadline, func(ctx context.Context) (*stage1v1.ExecPlan, error) {
		return p.Stage1().Enter(ctx, &stage1v1.EnterRequest{PodDir: podDir, App: app, Command: argv, Tty: tty})
	})
}

// Stop asks the pod to end; the lock's release is the end.
func Stop(ctx context.Context, p *plugin.Process, podDir string, grace time.Duration) error {
	_, err := plugin.Call(ctx, p, "stop pod", shortDeadline, func(ctx context.Context) (*stage1v1.StopResponse, error) {
		return p.Stage1().Stop(ctx, &stage1v1.StopRequest{PodDir: podDir, GraceSeconds: uint32(grace.Round(time.Second) / time.Second)})
	})
	return err
}

// Update asks for new limits of a running app; zero leaves one as it is.
func Update(ctx context.Context, p *plugin.Process, podDir, app string, r poddir.Resources) error {
	_, err := plugin.Call(ctx, p, "update app "+app, updateDeadline, func(ctx context.Context) (*stage1v1.UpdateResourcesResponse, error) {
		return p.Stage1().UpdateResources(ctx, &stage1v1.UpdateResourcesRequest{
			PodDir: podDir, App: app, MemoryBytes: uint64(r.MemoryBytes), CpuMillis: uint64(r.CPUMillis), CpuShares: r.CPUShares,
		})
	})
	return err
}

// Cleanup asks the stage1 to remove what it made outside the pod directory.
func Cleanup(ctx context.Context, p *plugin.Process, podDir string) error {
	_, err := plugin.Call(ctx, p, "clean up after pod", cleanupDeadline, func(ctx context.Context) (*stage1v1.CleanupResponse, error) {
		return p.Stage1().Cleanup(ctx, &stage1v1.CleanupRequest{PodDir: podDir})
	})
	return err
}
