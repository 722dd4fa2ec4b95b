// Package plan is the file stage1/plan: what linuxpod.Prepare works out before the pod starts, and its
// supervisor, PID 1 and enter act upon. It repeats an app of pod.json with everything resolved that can be
// without the app's root: capability masks, signal numbers, the compiled filter's file, cgroup directories.
//
// The file is written by Run, immutable afterwards, and private to one version of the plugin: the binary that
// wrote it and those that read it are pinned together. Paths below the pod directory are relative to it,
// because core moves that directory between Run and the start.
package plan
