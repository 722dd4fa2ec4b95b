// Package supervise is what a stage1's supervisor has to do whatever its isolation is made of: hold the pod's
// lock, write pid, ready, status and exit files, talk to systemd, listen on the control socket, turn signals
// into an orderly stop, decide the pod's exit status, and become `rkt finish` at the end.
//
// A supervisor is the process that `rkt run` was: same PID, same terminal, same NOTIFY_SOCKET. Its main is
//
//	func main() { os.Exit(supervise.Run(flavor{})) }
//
// with a Flavor that knows how to start, signal and kill apps (and may be an Early one, to start what takes
// time before anything is read). All decisions are taken in one goroutine, the
// one that called Run; a Flavor reports to it and is called by it.
//
// Owned here: the files of proto/poddir that it says the supervisor writes, and the rules of when a pod stops
// and what its exit status is. Not owned: how an app comes to life, terminals, cgroups.
//
// Invariants: the lock stays open until execve or exit; no donated descriptor is ever inherited by a child;
// NOTIFY_SOCKET and RKT_FDS are taken out of the environment before anything is started.
//
// The package uses the standard library (without net), golang.org/x/sys, proto/poddir and proto/launch
// alone, because its pages are paid for by every running pod.
package supervise
