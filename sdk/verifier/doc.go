// Package verifier is what a plugin that judges signatures is built on: implement Verifier and call Main.
//
// A verifier runs as an unprivileged user without capabilities and without any network, and writes nothing.
// It is handed exactly the keys that are trusted for the name in question: which keys those are is rkt's policy.
// rkt fails closed: an error, a crash, a timeout, or Abstain from every verifier is a refusal.
//
// One optional ability is a further interface: SignerJudge (capability "signers").
package verifier
