// Package suite runs checks. It owns what a check is, the order and the bounds in which checks run, their scratch
// directories, and what is left of a check when it ends. It does not own any check: those are below internal/checks.
//
// Invariants: a check gets a directory of its own and leaves no process and no file behind, whatever it found; the
// moments of kills come from one seed, which the report names; a check is skipped only for an ability that the plugin
// does not claim or for something named that this host lacks.
package suite
