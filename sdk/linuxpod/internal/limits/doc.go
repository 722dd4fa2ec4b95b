// Package limits gives each app of a pod a cgroup below the pod's own, with the app's limits and device rules.
// It runs before the pod, as root of the host or of a VM's guest, and is the only importer in sdk of
// containerd/cgroups; the supervisor only writes a pid into, or clones into, the directories that Apply names.
//
// Core made the pod's cgroup (core/cgroup) and removes it with whatever is below. A controller that core had to
// skip, or that refuses a value, is a warning that says which limit does not hold; a pod runs without it.
//
// Invariants: an app's cgroup is named "app-" + its name, so that no app can be called like a file of the
// kernel's ("tasks"). Every app has a limit on processes and closed device rules, asked for or not. Apply is
// idempotent: after a kill at any moment the same call leads to the same cgroup.
package limits
