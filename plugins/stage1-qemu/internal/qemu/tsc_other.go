//go:build !amd64

package qemu

// counterKHz is of no use to machines other than microvm.
func counterKHz() int { return 0 }
