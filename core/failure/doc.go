// Package failure keeps the last failure of each plugin: what was asked, what went wrong, and what the plugin wrote to
// its stderr until then.
//
// It owns everything below one directory, one file a plugin, and both bounds: how many, and how large. It does not
// own what a failure is (core/plugin).
//
// Invariants: a record is whole or not there; writing one never fails a verb that has failed already; what a plugin
// has written is data, and whoever shows it quotes it.
package failure
