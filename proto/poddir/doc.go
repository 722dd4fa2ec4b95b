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
//	settings/       core: <kind>.json, the configuration that the plugin of plugins.json had then; empty for none
//	limits/NAME     core, by `rkt update`: Limits, in force instead of what pod.json says
//	net/            the network plugin's state
//	etc/            core: resolv.conf, hosts, hostname for every app
//	apps/NAME/      upper/ and work/ of the app's overlay
//	volumes/NAME/   empty volumes
//	stage1/         the flavor's own files; the plugin makes it, in Run (WriteFile does)
//	logs/NAME.log   a detached pod's output, per app
//	pid             supervisor, at once after execve: its pid on the host
//	ready           supervisor, when every app has been started
//	status/NAME     supervisor, once per app: AppStatus
//	exit            supervisor, last: PodExit
//	ctl             supervisor: a Unix stream socket, mode 0600 (see control.go)
//
// Every file is written to a temporary name and renamed into place, so a reader sees all of it or none.
//
// What a supervisor owes. It writes its pid (S1-LIFE-01), and ready when every app has been executed, each with a status
// (S1-LIFE-02). It holds the lock for as long as the pod lives and no longer (S1-LIFE-03), and when it dies, its apps do
// (S1-CRASH-01).
//
// An app's exit status is its status file's, that of a failed app is the pod's, in exit and of the supervisor itself
// (S1-LIFE-04); 128+n when signal n ended it (S1-LIFE-05), 127 and 126 when the program is missing or cannot be executed,
// with the reason (S1-LIFE-06). When one app fails, the others are stopped, and its status is the pod's (S1-LIFE-07). While
// none fails the pod lives until the last one ends (S1-LIFE-08); what apps leave running ends then (S1-LIFE-14). SIGTERM
// stops the pod as `rkt stop` does (S1-STOP-05). At the end it becomes runtime.json's finish program: the same process, with
// the lock's descriptor in RKT_FDS (S1-LIFE-12). A pod whose supervisor was killed can be started again, and what the
// former start has left in the directory does not count (S1-LIFE-13). Its apps, and what they start, are in the pod's
// cgroup, by which core finds them when nobody else can (S1-CGROUP-01).
//
// An app gets the arguments, environment, directory, user and groups of pod.json; beside them at most what each program of
// a Unix has, such as PATH and HOME, and nothing of the supervisor's (S1-LIFE-09). Its descriptors are 0, 1 and 2
// (S1-LIFE-10). Standard input is /dev/null, the supervisor's own, or a terminal, as pod.json says (S1-LIFE-11). Output is
// the supervisor's own, or of a detached pod logs/NAME.log (S1-LIFE-15).
//
// What a flavor owes that has limits: an app does not get more memory than it may have, and when the kernel killed
// it for that, its status says so (S1-LIMIT-02). One that has none refuses them in Validate.
//
// What a flavor owes that isolates. An app's capabilities are at most those of pod.json, and none of a user who is not root
// is effective (S1-ISO-01). The filter and no_new_privs are on where pod.json says so (S1-ISO-02), and a read-only root is
// (S1-ISO-03). An app sees no process but its pod's (S1-ISO-04), no file but its image's, the kernel's and its volumes
// (S1-ISO-05), the pod's hostname and network namespace (S1-ISO-06), and nothing of the kernel's that is the host's alone
// (S1-ISO-07). What it writes changes no layer (S1-ISO-08) and is not seen by the pod's other apps (S1-ISO-09), unless they
// share a volume, which is read-only where pod.json says so (S1-ISO-10).
package poddir
