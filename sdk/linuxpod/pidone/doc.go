// Package pidone is PID 1 of a pod: it builds each app's root, starts the apps, reaps whatever ends, and
// reports to the supervisor. It runs as root of the host in the pod's pid, ipc, uts and network namespaces.
//
// Each app has a mount namespace of its own. The last one's is PID 1's: once every root is built it has no
// other use, and a pod of one app needs no second copy of the host's mount tree. For each further app a locked
// OS thread leaves the others (unshare), builds the root, forks the app from there (package spawn) and is
// thrown away with its goroutine. That costs a thread for some milliseconds where a re-exec of this binary
// costs a process, a Go start-up and 2-3 ms. It is sound: the Go runtime never makes threads from a locked
// one, a locked goroutine that returns ends its thread, and the namespace lives on in the app.
//
// First every root is built, then every app is started: a pod whose volume is missing runs nothing at all.
//
// Invariants: descriptor 3, the supervisor's socket, is the only thing from outside; when the supervisor's thread
// ends, PID 1 is killed and the kernel ends the pod. After the start no mount of the host is left in PID 1's
// namespace, so it keeps nothing busy; it opens no path any more, as those are an app's.
package pidone
