// Package stage1 holds the checks that are about stage1s: of level protocol, what can be asked without running a pod; of
// level lifecycle, a pod's life from Run to Cleanup; of level isolation, what an app must not see or do.
package stage1
