// Package scaffold begins plugins: it writes a module that builds, is tested and can be packaged, out of the sdk's own
// example of the kind.
//
// It owns the files beside the source (files/) and the words that are replaced in both. It does not own the source:
// sdk/example is built and tested in this repository, and handed out as it is there.
//
// Invariants: nothing is written over; what was begun and failed is taken away again.
package scaffold
