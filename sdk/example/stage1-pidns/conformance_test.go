package main

import (
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

// There is no seccomp filter, there are no limits and volumes, and root keeps its capabilities: the level isolation is not for
// this flavor. What its namespaces and its enter are for is checked all the same.
func TestConformance(t *testing.T) {
	plugin := conformance.Plugin{Dir: conformance.Build(t, ".", nil)}
	conformance.Run(t, plugin, conformance.Options{Level: conformance.Lifecycle})
	conformance.Run(t, plugin, conformance.Options{Level: conformance.Isolation, Only: []string{
		"S1-ENTER-05", "S1-ISO-03", "S1-ISO-04", "S1-ISO-05", "S1-ISO-06", "S1-ISO-08", "S1-ISO-09",
	}})
}
