// Package network holds the checks of level lifecycle and isolation that are about network plugins. They run in a network
// namespace that plays the host; the real one is never touched.
package network
