// Package poddir is the contract between core, a stage1 and its supervisor on disk: what a pod directory
// holds, and who writes what. It uses the standard library alone, so that a supervisor that imports it
// stays small.
//
// A pod directory is pods/{embryo,prepare,prepared,run,exited-garbage,garbage}/UUID below the data
// directory, moved by rename(2) under an exclusive flock(2) on the directory itself.
//
//	pod.json        core, immutable after prepare: Pod
//	runtime.json    core, before Run: Runtime (what only the start knows: cgroup, network, identity files)
//	plugins.json    core: kind -> PinnedPlugin, the binaries that this pod uses for ever
//	limits/NAME     core, by `rkt update`: Limits, in force instead of what pod.json says
//	net/            the network plugin's state
//	etc/            core: resolv.conf, hosts, hostname for every app
//	apps/NAME/      upper/ and work/ of the app's overlay
//	volumes/NAME/   empty volumes
//	stage1/         the flavor's own files
//	logs/NAME.log   a detached pod's output, per app
//	pid             supervisor, at once after execve: its pid on the host
//	ready           supervisor, when every app has been started
//	status/NAME     supervisor, once per app: AppStatus
//	exit            supervisor, last: PodExit
//	ctl             supervisor: a Unix stream socket, mode 0600 (see control.go)
//
// Every file is written to a temporary name and renamed into place, so a reader sees all of it or none.
package poddir
