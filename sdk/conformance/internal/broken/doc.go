// Package broken holds deliberately broken plugins, one fault each: they prove that each check of the kit can fail. It is
// four small plugins from scratch, a fetcher, a verifier, a network plugin and a stage1, which pass the kit, and the faults
// that can be put into them. It shares no code with sdk/fetcher and its like, so it is a third reading of the contract.
//
// One program plays them all. Which, and with which fault, its name says: rkt-KIND-FAULT.
package broken
