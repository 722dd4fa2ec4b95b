// Package thread gives tests a thread to change: its namespaces, its cgroup. It is for tests alone.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Run calls f on a thread that ends with it, and that is not the process's first one: that one never ends, and
// /proc/self shows what is its.
func Run(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- Run(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}
