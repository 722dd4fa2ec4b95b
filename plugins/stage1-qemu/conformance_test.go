package main

import (
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
	"github.com/rkt/rkt/v2/sdk/vmhost/service"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Plugin{
		Dir: conformance.Build(t, ".", map[string]string{
			supervisor: "./supervisor", service.GuestProgram: "github.com/rkt/rkt/v2/sdk/vmguest/cmd/rkt-vmguest",
		}),
	}, conformance.Options{Level: conformance.Protocol})
}
