// Package trust is rkt's policy about signatures: which public keys count for which image name, and for which
// kinds of reference a signature is demanded at all.
//
// It owns the keyring directories and policy.json. It does not judge signatures (a verifier plugin does), it
// does not fetch keys (a fetcher plugin delivers them as files), and it asks nobody anything (cmd/rkt does).
//
// The keyring has two roots, the vendor's <system-config>/trustedkeys and the admin's <local-config>/trustedkeys,
// of the same layout:
//
//	trustedkeys/root.d/FPR                     counts for every name
//	trustedkeys/prefix.d/example.com/app/FPR   counts for example.com/app and for all below it
//
// FPR is the key's fingerprint in lower-case hex and the file holds exactly that one public key, armored or
// binary. An empty file in the admin's tree masks the vendor's key of the same place and name. Below prefix.d
// the directories are the components of the prefix, so the rule "example.com/foo does not cover
// example.com/foobar" is the shape of the tree itself.
//
// Invariants: nothing is trusted by accident (a file with two keys, a private key, or a name that is not its
// fingerprint is an error that names the file, never a guess), and every write is atomic.
package trust
