// Package protocol holds the checks of level protocol that are about every plugin: how it starts and ends, who it says
// it is, its configuration, and the wire.
package protocol
