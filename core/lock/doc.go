// Package lock is plugins.lock: the bytes that the administrator allows a plugin's name to have.
//
// It owns the file <local-config>/plugins.lock, its form and its changes. It does not own what a digest is (core/pin)
// nor who is refused (core/engine).
//
// A lock binds a name to bytes, not to a place: the same plugin found elsewhere is the same plugin, and another one
// that comes first in the search path is refused, never passed over for a later one that fits.
//
// Invariants: a file that cannot be read or understood is an error and never the absence of a lock; changes are
// atomic, and two at once are both kept.
package lock
