// Package confine starts a program as an app of the pod says: who it is, its environment, its command looked
// up inside the app's root, under the app's cgroup, capabilities, no_new_privs and filter. PID 1 starts apps
// by it and `rkt enter` starts commands by it, so that both are under the same confinement.
//
// It runs on a locked thread whose root is the app's root.
package confine
