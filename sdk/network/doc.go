// Package network is what a plugin that connects pods is built on: implement Network and call Main.
//
// The plugin runs as root with CAP_NET_ADMIN and CAP_SYS_ADMIN alone, in the host's network namespace. The pod's
// namespace is a donated descriptor (Netns). What Teardown will need is written below StateDir before the change
// that it undoes, because rkt, the plugin or the machine may die between the two.
//
// Optional abilities: Checker (capability "check"), Sweeper ("sweep"), plugin.Configurer, plugin.Prober.
package network
