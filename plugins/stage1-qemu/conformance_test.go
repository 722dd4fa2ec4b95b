package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
	"github.com/rkt/rkt/v2/sdk/vmhost/service"
)

// The environment of the tests with machines (tests/vmkernel, tests/guest).
const (
	envKernel  = "RKT_TEST_VM_KERNEL"
	envModules = "RKT_TEST_VM_MODULES"
	envAccel   = "RKT_TEST_VM_ACCEL" // "kvm" where it really works
)

func build(t *testing.T) string {
	return conformance.Build(t, ".", map[string]string{
		supervisor: "./supervisor", service.GuestProgram: "github.com/rkt/rkt/v2/sdk/vmguest/cmd/rkt-vmguest",
	})
}

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Plugin{Dir: build(t)}, conformance.Options{Level: conformance.Protocol})
}

// TestConformanceMachines runs pods: all checks with KVM, and emulated, where each boot takes some ten seconds, a few.
func TestConformanceMachines(t *testing.T) {
	kernel, accel := os.Getenv(envKernel), os.Getenv(envAccel)
	if os.Geteuid() != 0 || kernel == "" {
		t.Skipf("needs root, and a kernel for the guest in %s: make unit", envKernel)
	}
	o := conformance.Options{Level: conformance.Isolation, Only: []string{"S1-"}}
	if accel == "" {
		accel = "tcg"
		o.Only = []string{"S1-RUN-01", "S1-RUN-03", "S1-LIFE-07", "S1-STOP-03", "S1-ENTER-05", "S1-ISO-02"}
	}
	config, err := json.Marshal(map[string]any{"accel": accel, "kernel": kernel, "modules": os.Getenv(envModules), "bootSeconds": 600})
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Plugin{Dir: build(t), Config: config}, o)
}
