// Package enter is `rkt enter`: it joins an app of a running pod and runs a command there under the app's own
// confinement: its namespaces, root, cgroup, capabilities, no_new_privs and seccomp filter. The first rkt's
// ran with all capabilities, no filter and outside the cgroup (CVE-2019-10144, -10145, -10147).
//
// It runs on the host as root, as the process that the user's `rkt enter` was, with the user's terminal. A
// thread joins the app's namespaces and forks the command; the process itself stays outside, passes signals
// and terminal on, and exits as the command did.
//
// Invariants: processes are held by pidfd, so that a pid that is reused is noticed; the pod's own processes
// can look into none of ours (not dumpable) and cannot write to our program (read-only mount).
package enter
