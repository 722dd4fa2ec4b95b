package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// GuestProgram is the file in the plugin's directory that becomes the guest's init.
const GuestProgram = "rkt-vmguest"

// Stage1 runs pods in virtual machines.
type Stage1 struct {
	stage1.Base // Stop: the supervisor's control socket

	Flavor     string // "qemu"
	VMM        vmhost.VMM
	Supervisor string // the program that core becomes, and that enters
	Package    string // Debian's package of the VMM, for remedies

	config   vmhost.Config
	path     string // of the configuration
	cacheDir string
	err      error // of a configuration that was never given: defaults do not fail
}

var (
	_ stage1.Stage1     = (*Stage1)(nil)
	_ stage1.Enterer    = (*Stage1)(nil)
	_ stage1.Stopper    = (*Stage1)(nil)
	_ stage1.Resizer    = (*Stage1)(nil)
	_ plugin.Configurer = (*Stage1)(nil)
	_ plugin.Prober     = (*Stage1)(nil)
)

// New makes the flavor with the default configuration.
func New(flavor string, vmm vmhost.VMM, supervisor, pkg string) *Stage1 {
	s := &Stage1{Flavor: flavor, VMM: vmm, Supervisor: supervisor, Package: pkg}
	s.config, s.err = vmhost.ParseConfig(nil)
	return s
}

// Configure reads the admin's file.
func (s *Stage1) Configure(_ context.Context, c plugin.Config) ([]plugin.Diagnostic, error) {
	s.cacheDir, s.path = c.CacheDir, c.Path
	s.config, s.err = vmhost.ParseConfig(c.JSON)
	if s.err != nil {
		return nil, plugin.ConfigInvalid("%w", s.err)
	}
	return nil, nil
}

// file is where the administrator writes the configuration.
func (s *Stage1) file() string {
	if s.path != "" {
		return s.path
	}
	return fmt.Sprintf("plugins/stage1-%s.json below rkt's local configuration", s.Flavor)
}

// Run makes the machine.
func (s *Stage1) Run(ctx context.Context, req stage1.RunRequest) (stage1.ExecPlan, error) {
	pod, rt := new(poddir.Pod), new(poddir.Runtime)
	if err := errors.Join(s.err, poddir.ReadJSON(req.PodDir, poddir.PodFile, pod)); err != nil {
		return stage1.ExecPlan{}, err
	}
	if err := poddir.ReadJSON(req.PodDir, poddir.RuntimeFile, rt); err != nil {
		return stage1.ExecPlan{}, err
	}
	if rt.Network.Mode == poddir.NetworkHost || req.Netns < 0 {
		return stage1.ExecPlan{}, stage1.PodUnsupported(
			"network: a pod of flavor %q is a machine of its own and cannot have the host's network: use --net=default, another network, or --net=none", s.Flavor)
	}
	m, err := s.machine(ctx, req.PodDir, pod, rt)
	if err != nil {
		return stage1.ExecPlan{}, err
	}
	m.Spec.Debug = req.Debug || rt.Debug
	if err := m.Spec.Check(); err != nil {
		return stage1.ExecPlan{}, err
	}
	if err := s.VMM.Fits(m); err != nil {
		return stage1.ExecPlan{}, stage1.PodUnsupported("flavor %q: %w", s.Flavor, err)
	}
	if err := m.Write(req.PodDir); err != nil {
		return stage1.ExecPlan{}, err
	}
	return stage1.ExecPlan{
		Program: s.Supervisor, Args: []string{"supervise"},
		KeepFDs: []string{launch.FDLock, launch.FDNetns},
	}, nil
}

// Enter names the program that asks the supervisor.
func (s *Stage1) Enter(_ context.Context, req stage1.EnterRequest) (stage1.ExecPlan, error) {
	if err := running(req.PodDir, req.App); err != nil {
		return stage1.ExecPlan{}, err
	}
	return req.Plan(s.Supervisor), nil
}

// running refuses what is asked of an app that is not there.
func running(podDir, app string) error {
	pod := new(poddir.Pod)
	if err := poddir.ReadJSON(podDir, poddir.PodFile, pod); err != nil {
		return err
	}
	if !slices.ContainsFunc(pod.Apps, func(a poddir.App) bool { return a.Name == app }) {
		return stage1.AppNotFound("pod has no app %q", app)
	}
	return stage1.Running(podDir)
}

// guestProgram is beside the plugin's binary, and pinned with it.
func guestProgram() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(exe), GuestProgram), nil
}
