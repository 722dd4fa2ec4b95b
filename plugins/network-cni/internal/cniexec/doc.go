// Package cniexec runs CNI plugins for libcni: built-in types in this process, all others as programs. It owns the
// search for programs, their environment and the bounds on them. It does not own what built-in types do: those are
// functions given to it.
//
// Programs run as this process does, root with the capabilities that core left it, with an environment of CNI_* and
// PATH alone, and are killed with ctx. What they print is bounded.
package cniexec
