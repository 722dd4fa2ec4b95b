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

// TestConformanceMachines runs pods, with KVM where it works, else emulated.
func TestConformanceMachines(t *testing.T) {
	kernel, accel := os.Getenv(envKernel), os.Getenv(envAccel)
	if os.Geteuid() != 0 || kernel == "" {
		t.Skipf("needs root, and a kernel for the guest in %s: make unit", envKernel)
	}
	if accel == "" {
		accel = "tcg"
	}
	config, err := json.Marshal(map[string]any{"accel": accel, "kernel": kernel, "modules": os.Getenv(envModules), "bootSeconds": 600})
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Plugin{Dir: build(t), Config: config}, conformance.Options{Level: conformance.Isolation, Only: []string{"S1-"}})
}
