package main

import (
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

// A chroot isolates nothing, so the level isolation is not for this flavor.
func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Plugin{Dir: conformance.Build(t, ".", nil)}, conformance.Options{Level: conformance.Lifecycle})
}
