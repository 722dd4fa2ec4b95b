package main

import (
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Plugin{
		Dir:    conformance.Build(t, ".", nil),
		Config: []byte(`{"retries": 1}`), // a registry that always fails is given up sooner
	}, conformance.Options{
		Level: conformance.Isolation,
		Large: 4<<30 + 1<<20, // more than 32 bits count
	})
}
