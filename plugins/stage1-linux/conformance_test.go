package main

import (
	"testing"

	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/linux"
	"github.com/rkt/rkt/v2/sdk/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Plugin{
		Dir: conformance.Build(t, ".", map[string]string{linux.Supervisor: "./supervisor"}),
	}, conformance.Options{Level: conformance.Isolation})
}
