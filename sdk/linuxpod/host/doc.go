// Package host is the supervisor's half of a running pod: it gives birth to PID 1, takes its reports, signals
// apps, proxies their terminals and notices when the kernel killed one at its memory limit. It runs as root in
// the host's namespaces, in the process that `rkt run` was; sdk/supervise decides, this package acts.
//
// Invariants: every process is signalled by pidfd; the binary that PID 1 runs from cannot be opened for
// writing through the pod's /proc; the thread that made PID 1 lives as long as PID 1, because the parent death
// signal hangs on that thread.
package host
