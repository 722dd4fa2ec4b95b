// Package linux is the plugin's gRPC half: it judges a pod, makes the apps' cgroups and compiled filters,
// writes the plan, and names the supervisor for core to become. It is gone before the pod starts.
package linux
