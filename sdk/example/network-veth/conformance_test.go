package main

import (
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Plugin{Dir: conformance.Build(t, ".", nil)}, conformance.Options{Level: conformance.Lifecycle})
}
