// Package linuxpod runs a pod in Linux namespaces, cgroups and seccomp filters. It is what stage1-linux is on the
// host and what the guest of every VM flavor is inside, so that the same pod has the same result on all of them.
//
// This package is the half that runs before the pod: it looks at the pod (Check), makes cgroups, compiled
// filters and the plan (Prepare), and afterwards says what apps use (Stats). The cgroups that it leaves are in the pod's, which core
// removes. It links what is large. The half that every running pod holds in memory links none of it:
//
//	host     the supervisor's side: PID 1's birth, reports, signals, terminals
//	pidone   PID 1 of the pod: `PROGRAM init`
//	enter    `PROGRAM enter POD-DIR APP tty|- -- COMMAND`
//	tty      pseudo-terminals, raw mode
//
// A program that runs pods dispatches its first argument: "init" to pidone.Main, "enter" and "enter-sealed" to
// enter.Main; host starts it again as those, from a sealed copy. All halves are one build: the plan is private
// to it.
//
// Invariants: what Prepare wrote is not changed afterwards; paths in the plan are relative to the pod
// directory, which is the working directory of all that read it.
package linuxpod
