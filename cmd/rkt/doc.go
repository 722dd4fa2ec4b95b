// Command rkt runs pods of apps from container images, without a daemon.
//
// One file a verb: each turns flags into one call of core/engine and prints the answer. Nothing here decides
// anything about images, pods or plugins, and nothing outside this package prints or exits.
package main
