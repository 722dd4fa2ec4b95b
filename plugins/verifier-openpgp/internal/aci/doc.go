// Package aci is the verifier that core asks: it finds the blobs of an appc image and of its signatures in a
// layout directory and has them judged. The rules about signatures are in judge; what the layout has to hold is
// the fetcher's contract (proto/rkt/fetcher).
//
// Invariant: the bytes that were judged have the digest that core asked about, so that a fetcher which is still
// alive and swaps the file gains nothing.
package aci
