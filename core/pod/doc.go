// Package pod keeps pods on disk: directories that move through states by rename(2), each under an
// exclusive flock(2) on the directory itself.
//
// It owns the sections below <data>/pods, UUIDs and their prefixes, what a state means, and reading a pod's
// files for list and status. It starts nothing and knows no plugin, so that these verbs work with none.
//
// Invariants:
//   - A section changes only by one rename while the exclusive lock is held.
//   - State is location plus lock: held in run/ is running, free in run/ is exited, free in prepare/ is an
//     aborted prepare. A killed process therefore leaves a state that the next command reads correctly.
//   - After taking a lock the directory is looked up again: it may have moved or gone meanwhile.
package pod
