package main

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
	"github.com/rkt/rkt/v2/sdk/vmhost/service"
)

// TestConformance runs pods where there is a kvmtool in RKT_TEST_LKVM, and KVM to run it: kvmtool emulates nothing.
func TestConformance(t *testing.T) {
	p := conformance.Plugin{Dir: conformance.Build(t, ".", map[string]string{
		supervisor: "./supervisor", service.GuestProgram: "github.com/rkt/rkt/v2/sdk/vmguest/cmd/rkt-vmguest",
	})}
	o := conformance.Options{Level: conformance.Protocol}
	if lkvm := os.Getenv("RKT_TEST_LKVM"); lkvm != "" && os.Geteuid() == 0 {
		config, err := json.Marshal(map[string]any{
			"program": lkvm, "kernel": os.Getenv("RKT_TEST_VM_KERNEL"), "modules": os.Getenv("RKT_TEST_VM_MODULES"), "bootSeconds": 600,
		})
		if err != nil {
			t.Fatal(err)
		}
		p.Config, o.Level = config, conformance.Isolation
	}
	conformance.Run(t, p, o)
}
