// Package spawn turns the calling thread's fork into a confined program: cgroup, session, descriptors,
// capabilities, ids, no_new_privs, seccomp filter, execve, in that order and with nothing in between.
//
// The standard library's ForkExec cannot do it: it knows no filter, no bounding set and no cgroup that is
// joined before a filter forbids clone3. A second exec of this binary per app could, and costs 2-3 ms and a
// Go start-up each. So the child is made as the standard library makes it: by clone3 with CLONE_VM and
// CLONE_VFORK, and between that and execve it runs one function that allocates nothing, calls nothing but raw
// system calls and whose stack is already there. All signals are blocked before the fork and every handler is
// reset after it, so that no code of the Go runtime ever runs in the child.
// (A copy of the memory instead of a loan costs some tenths of a millisecond more.)
//
// Namespaces are the calling thread's: lock it to the goroutine first.
package spawn
