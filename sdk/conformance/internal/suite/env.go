package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/proto/manifest"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/netns"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
)

// Env is the surroundings of one check.
type Env struct {
	Plugin   *Plugin
	Manifest *manifest.Manifest // nil in the static checks when it cannot be read
	Service  string             // the check's
	Rand     *rand.Rand
	Options

	scratch string
	made    int
	closers []func() error
	host    *os.File
}

// Provision is the plugin's of the check's service.
func (e *Env) Provision() *manifest.Provision { return e.Manifest.Provision(e.Service) }

// Claims says whether the plugin claims a capability of the service.
func (e *Env) Claims(service, capability string) bool {
	p := e.Manifest.Provision(service)
	return p != nil && slices.Contains(p.Capabilities, capability)
}

// Dir makes an empty directory that lives as long as the check. It is the plugin's own when the plugin runs as
// another user.
func (e *Env) Dir() (string, error) {
	e.made++
	dir := filepath.Join(e.scratch, strconv.Itoa(e.made))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	return dir, e.Give(dir)
}

// Nowhere is the path of a directory that is not there and that nobody can make, root neither: a file is its parent.
func (e *Env) Nowhere() (string, error) {
	file := filepath.Join(e.scratch, "file")
	return filepath.Join(file, "nowhere"), os.WriteFile(file, nil, 0o644)
}

// Give makes path the plugin's.
func (e *Env) Give(path string) error {
	if uid := process.User(e.kind()); uid != os.Geteuid() {
		return os.Chown(path, uid, uid)
	}
	return nil
}

// Defer has f called when the check ends, last first. Its error fails a check that has not failed.
func (e *Env) Defer(f func() error) { e.closers = append(e.closers, f) }

// kind is the service whose confinement the plugin gets: the check's, or the first that the plugin provides.
func (e *Env) kind() string {
	if e.Service != "" || e.Manifest == nil || len(e.Manifest.Provides) == 0 {
		return e.Service
	}
	return e.Manifest.Provides[0].Service
}

// Start starts the plugin. What o leaves open is filled in: directory, program, confinement. The process ends with
// the check at the latest.
func (e *Env) Start(ctx context.Context, o process.Options) (*process.Process, error) {
	o.Dir, o.Exec = e.Plugin.Dir, e.Manifest.Exec
	if o.Kind == "" {
		o.Kind = e.kind()
	}
	if o.Kind == manifest.ServiceNetwork && o.Host == nil && os.Geteuid() == 0 {
		host, err := e.Host()
		if err != nil {
			return nil, err
		}
		o.Host = host
	}
	if o.SocketDir == "" {
		dir, err := e.Dir()
		if err == nil {
			err = os.Chmod(dir, 0o700)
		}
		if err != nil {
			return nil, err
		}
		o.SocketDir = dir
	}
	p, err := process.Start(ctx, o)
	if p != nil {
		e.Defer(p.Close)
	}
	return p, err
}

// Host is the network namespace that plays the host in this check: a network plugin is never let near the real one.
func (e *Env) Host() (*os.File, error) {
	if e.host != nil {
		return e.host, nil
	}
	ns, err := netns.New()
	if err != nil {
		return nil, err
	}
	e.host = ns
	e.Defer(ns.Close)
	return ns, nil
}

// Ready starts the plugin and hands over the configuration, as core does before any call of a service.
func (e *Env) Ready(ctx context.Context, o process.Options) (*process.Process, error) {
	p, err := e.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return p, e.Configure(ctx, p.Conn)
}

// Configure hands over the configuration, if there is one.
func (e *Env) Configure(ctx context.Context, c grpc.ClientConnInterface) error {
	if len(e.Plugin.Config) == 0 {
		return nil
	}
	if err := e.configure(ctx, c); err != nil {
		// Not wrapped: its reason must not be taken for that of the call that a check is about.
		return fmt.Errorf("configure with the given configuration: %v", err)
	}
	return nil
}

func (e *Env) configure(ctx context.Context, c grpc.ClientConnInterface) error {
	return answer.Configured(pluginv1.NewPluginServiceClient(c).Configure(ctx, &pluginv1.ConfigureRequest{Config: e.Plugin.Config}))
}

// Within is d, or a tenth of it when the kit tests itself.
func (e *Env) Within(d time.Duration) time.Duration {
	if e.Impatient {
		return d / 10
	}
	return d
}

// Between is a moment in [0, most), from the seed.
func (e *Env) Between(most time.Duration) time.Duration {
	return time.Duration(e.Rand.Int64N(int64(most)))
}

func (e *Env) end() error {
	var errs []error
	for _, f := range slices.Backward(e.closers) {
		errs = append(errs, f())
	}
	return errors.Join(append(errs, os.RemoveAll(e.scratch))...)
}
