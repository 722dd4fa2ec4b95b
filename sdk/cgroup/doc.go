// Package cgroup puts a pod's processes into the cgroup that core has made for it (runtime.json, poddir.Cgroup).
//
// By that cgroup `rkt stop --force` and `rkt gc` find what a killed supervisor has left, without any plugin. Owned here:
// the way in, on version 1 and 2. Not owned: the cgroup itself, which core makes and removes, and limits, which
// sdk/linuxpod sets for flavors in Linux namespaces.
package cgroup
