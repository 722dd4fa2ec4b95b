// Package conformance tests a plugin of rkt, in whatever language it is written, against the contract: the comments of
// proto/rkt/*/v1/*.proto, of proto/launch, proto/manifest and proto/poddir. Each check has an ID that the comment which
// makes the demand quotes.
//
// A vendor's Go test is
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Plugin{Dir: "out/fetcher-foo", References: []string{"foo://good"}}, conformance.Options{Level: conformance.Protocol})
//	}
//
// and everybody else's is the command sdk/conformance/cmd/rkt-conformance, which has the same checks. Check is what both
// stand on. docs/conformance.md lists the levels and the checks.
//
// The package owns the list of checks and its order. What a check is and how it is run is internal/suite's, the checks
// are below internal/checks, starting a plugin is internal/process's alone.
package conformance
