// Command inventory says what a package is made of, from what the linker wrote into its binaries: the Go modules as a
// CycloneDX document, and the text of their licences.
//
// It owns neither the choice of the files nor their place in a package. It asks no network: the modules lie in the
// module cache since they were compiled.
package main
