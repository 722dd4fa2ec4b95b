package stage1

import (
	"context"
	"math"
	"time"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Info says what the plugin is. The same facts are printed by `<binary> manifest`.
type Info struct {
	Name    string // the directory's name: "stage1-linux"
	Version string // semver
	Vendor  string
	Exec    string // the binary's file name; "rkt-" + Name when empty

	Flavor string // the word after --stage1=; Name less "stage1-" when empty

	Programs []string // further executables in the plugin's directory: a supervisor of its own
	Requires plugin.Requires
	// ConfigSchema is the JSON schema of the configuration, usually embedded: rkt plugin config check reads it.
	ConfigSchema string
}

// Stage1 is what a plugin must implement. pod directories are absolute and hold pod.json (proto/poddir).
type Stage1 interface {
	// Validate says whether this flavor can run the pod, field by field. It changes nothing.
	Validate(ctx context.Context, podDir string) ([]plugin.Diagnostic, error)
	// Run makes what the supervisor needs below <pod>/stage1 and returns the supervisor's command line. It is
	// idempotent, also after a kill.
	Run(ctx context.Context, req RunRequest) (ExecPlan, error)
}

// Enterer returns the program that joins an app of a running pod under the app's own confinement.
type Enterer interface {
	Enter(ctx context.Context, req EnterRequest) (ExecPlan, error)
}

// Attacher returns the program that connects the caller's terminal to a running app's own streams.
type Attacher interface {
	Attach(ctx context.Context, req AttachRequest) (ExecPlan, error)
}

// Stopper asks the pod to end and returns when the request is made. A pod that has ended is a success.
type Stopper interface {
	Stop(ctx context.Context, req StopRequest) error
}

// Statser reports the use of resources, per app.
type Statser interface {
	Stats(ctx context.Context, podDir string) ([]AppStats, error)
}

// Mutator changes a running pod.
type Mutator interface {
	AddApp(ctx context.Context, req AppRequest) error
	StartApp(ctx context.Context, req AppRequest) error
	StopApp(ctx context.Context, req AppRequest) error
	RemoveApp(ctx context.Context, req AppRequest) error
}

// Resizer changes the limits of a running app: all that are asked for, or none. An app whose memory the kernel cannot
// get below a new limit is plugin.Busy; what the flavor cannot do is PodUnsupported and begins with the field
// ("app.memory: ...").
type Resizer interface {
	UpdateResources(ctx context.Context, req Resources) error
}

// Cleaner removes what Run made outside the pod directory and its cgroup, which core removes itself. It succeeds when
// all of it is gone. It costs each pod a start of the plugin at its end: without need, do not implement it.
type Cleaner interface {
	Cleanup(ctx context.Context, podDir string) error
}

// RunRequest is a pod to run.
type RunRequest struct {
	PodDir  string
	PodUUID string
	Debug   bool
	// Netns is the pod's network namespace, an open descriptor that belongs to the process; -1 with host
	// networking. Name it in ExecPlan.KeepFDs for the supervisor to have it.
	Netns int
}

// ExecPlan is a program for rkt to become.
type ExecPlan struct {
	Program string            // a file of the plugin's directory; empty: the plugin's own binary
	Args    []string          // argv[1:]
	Env     map[string]string // added to what rkt passes on (NOTIFY_SOCKET, LISTEN_*, TERM, RKT_*)
	Dir     string            // empty: the pod directory
	KeepFDs []string          // names of donated descriptors that stay open: launch.FDLock, launch.FDNetns
}

// EnterRequest is a command to run in an app.
type EnterRequest struct {
	PodDir  string
	App     string
	Command []string // argv; empty: a shell of the app's root
	TTY     bool     // the caller's stdin is a terminal
}

// Plan is to become a program of the plugin's with the arguments: enter POD-DIR APP tty|- -- COMMAND.
func (r *EnterRequest) Plan(program string) ExecPlan {
	tty := "-"
	if r.TTY {
		tty = "tty"
	}
	return ExecPlan{Program: program, Args: append([]string{"enter", r.PodDir, r.App, tty, "--"}, r.Command...)}
}

// AttachRequest is what to attach to.
type AttachRequest struct {
	PodDir  string
	App     string
	Streams []string // "stdin", "stdout", "stderr", "tty"
}

// StopRequest is a pod to stop.
type StopRequest struct {
	PodDir string
	Force  bool          // SIGKILL at once
	Grace  time.Duration // between the stop signal and SIGKILL; 0: the pod's own
}

// AppStats is what an app uses.
type AppStats struct {
	App         string
	MemoryBytes uint64
	CPU         time.Duration
	PIDs        uint64
}

// AppRequest names an app of a pod; <pod>/apps/<app>/app.json describes it.
type AppRequest struct {
	PodDir string
	App    string
	Grace  time.Duration
}

// Resources are new limits; 0 leaves one as it is.
type Resources struct {
	PodDir      string
	App         string
	MemoryBytes uint64
	CPUMillis   uint64
	CPUShares   uint64 // cgroup v1's scale, 2..262144
}

// Limits is r as the pod directory writes it. What no kernel takes becomes the most that it does.
func (r *Resources) Limits() poddir.Resources {
	return poddir.Resources{
		MemoryBytes: int64(min(r.MemoryBytes, math.MaxInt64)), CPUMillis: int64(min(r.CPUMillis, math.MaxInt32)), CPUShares: r.CPUShares,
	}
}

// PodUnsupported: this flavor cannot do what the pod asks. Validate's diagnostics are the better place.
func PodUnsupported(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.PodUnsupported, format, args...)
}

// PodNotRunning: the pod has no supervisor.
func PodNotRunning(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.PodNotRunning, format, args...)
}

// AppNotFound: the pod has no such app.
func AppNotFound(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.AppNotFound, format, args...)
}
