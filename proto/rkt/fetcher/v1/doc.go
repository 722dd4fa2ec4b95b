// Package fetcherv1 is generated from fetcher.proto, whose comments are the contract: who calls, whether a call may be
// repeated, how long it may take, and how it fails.
package fetcherv1
