// Package cage starts a program of the host, a VMM or the server of a shared directory, with nothing around it but
// what it needs: a root file system of its own with /usr read-only, a few device nodes and the files that were
// named; new mount, pid, ipc and uts namespaces; the network namespace of the calling thread or an empty one; the
// pod's cgroup; a user of no one else's; no_new_privs and no capabilities but those that were named; no descriptors
// but those that were given.
//
//	supervisor ── clone(new namespaces) ──> the same binary, argument "cage" ── execve ──> the program, PID 1
//	            pipe: Spec as JSON ─────────▶ cgroups, mounts, pivot_root,
//	            kept open as a lifeline       user, PDEATHSIG
//
// The program dies with the thread that called Start, however that ends.
package cage
