// Package cgroup makes and removes a pod's cgroup, and kills what is in it. It is a part of the floor that
// works without any plugin, and core's only importer of containerd/cgroups. Of that library it uses the root
// package alone (which hierarchy is mounted, /proc/self/cgroup): the manager packages cost start-up time in
// every rkt command (protobuf statistics, eBPF) and enable controllers from the root down, which is not ours
// to do below a systemd unit. Limits and device rules per app are a stage1's business.
//
// Where a pod's cgroup is:
//
//	v1, hybrid   <controller>/<own cgroup>/rkt-UUID      for each controller in use
//	v2 (a)       <own cgroup>/rkt-UUID                   the own cgroup is delegated to us; rkt itself moves
//	             <own cgroup>/supervisor                 to this leaf, so that controllers can be enabled
//	v2 (b)       machine.slice/rkt-UUID.scope/pod        systemd is PID 1 and did not delegate
//	             machine.slice/rkt-UUID.scope/supervisor
//	v2 (c)       /rkt-UUID                               no systemd; rkt stays where it is
//
// The supervisor is never in the pod's cgroup: Kill ends the apps, the supervisor sees them end and tidies up.
//
// A controller that is missing or cannot be used is no error: it is named, with the reason, in
// poddir.Cgroup.Skipped. Every function works on what runtime.json says, checks that it looks like a pod's
// cgroup before it touches it, and succeeds when the work is done already.
package cgroup
