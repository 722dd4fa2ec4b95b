package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
	"github.com/rkt/rkt/v2/sdk/vmhost/service"
)

// The environment of the tests with machines (tests/vmkernel, tests/guest). Kvmtool's guests need a kernel with 9p.
const (
	envLkvm      = "RKT_TEST_LKVM"
	env9PKernel  = "RKT_TEST_VM_9P_KERNEL"
	env9PModules = "RKT_TEST_VM_9P_MODULES"
)

// machines is a configuration with which pods of package dir run.
func machines(t *testing.T, accel, program string) []byte {
	t.Helper()
	kernel, modules := os.Getenv(env9PKernel), os.Getenv(env9PModules)
	if os.Geteuid() != 0 || kernel == "" {
		t.Skipf("needs root, and a kernel with 9p for the guest in %s: make unit", env9PKernel)
	}
	config, err := json.Marshal(map[string]any{
		"accel": accel, "program": program, "kernel": kernel, "modules": modules, "bootSeconds": 600,
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// build makes the plugin of a package, with its supervisor and whatever more.
func build(t *testing.T, plugin, supervise string, more map[string]string) string {
	t.Helper()
	programs := map[string]string{supervisor: supervise, service.GuestProgram: "github.com/rkt/rkt/v2/sdk/vmguest/cmd/rkt-vmguest"}
	maps.Copy(programs, more)
	return conformance.Build(t, plugin, programs)
}

// TestConformance runs pods where there is a kvmtool, and KVM to run it: kvmtool emulates nothing.
func TestConformance(t *testing.T) {
	p, o := conformance.Plugin{Dir: build(t, ".", "./supervisor", nil)}, conformance.Options{Level: conformance.Protocol}
	if lkvm := os.Getenv(envLkvm); lkvm != "" {
		p.Config, o.Level = machines(t, "kvm", lkvm), conformance.Isolation
	}
	conformance.Run(t, p, o)
}

// TestConformanceEmulated runs pods on any host, with a program in kvmtool's place that understands its command line.
func TestConformanceEmulated(t *testing.T) {
	const cmd, tool = "./internal/emulated/cmd/", "lkvm"
	dir := build(t, cmd+"rkt-stage1-lkvm", cmd+supervisor, map[string]string{tool: cmd + tool})
	conformance.Run(t, conformance.Plugin{
		Dir: dir, Config: machines(t, "tcg", filepath.Join(dir, tool)),
	}, conformance.Options{Level: conformance.Isolation})
}
