package conformance_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
)

// The whole of a plugin's conformance test, beside its main package.
func ExampleRun() {
	TestConformance := func(t *testing.T) {
		conformance.Run(t, conformance.Plugin{
			Dir:        conformance.Build(t, ".", nil),
			References: []string{"foo://an-image"},
			Missing:    []string{"foo://nothing"},
		}, conformance.Options{Level: conformance.Isolation})
	}
	_ = TestConformance
}

// A plugin that is there already, and a report of one's own.
func ExampleCheck() {
	report, err := conformance.Check(context.Background(), conformance.Plugin{Dir: "out/fetcher-foo"}, conformance.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range report.Failed() {
		fmt.Println(r.ID, r.Reason)
	}
}
