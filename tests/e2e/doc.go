// Package e2e tests rkt as a user has it: the built binaries in dist/, images made by real builders and pushed
// to a real registry server, real namespaces and cgroups. It needs root and the packages that
// tests/prerequisites names.
//
// testdata/script holds one script per behaviour (testscript's txtar form). Each script has a data directory
// and a configuration of its own; what it leaves on the host fails the test (leftovers_test.go).
package e2e
