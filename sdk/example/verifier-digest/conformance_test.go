package main

import (
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

// The list judges digests and no signatures, so the checks of signed images have nothing to ask it.
func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Plugin{
		Dir:    conformance.Build(t, ".", nil),
		Config: []byte(`{"allow": {"registry.example/app": []}}`),
	}, conformance.Options{Level: conformance.Isolation})
}
