// Package judge decides whether detached OpenPGP signatures over an image are good, given exactly the keys that
// count. It runs in the verifier's process: an unprivileged user without network, fed with bytes that a hostile
// server may have made.
//
// It owns the rules about signatures. It does not own which keys count for which name: that is core's policy,
// and no key is ever taken from anywhere but the given files.
//
// The rules:
//   - accepted is an image with at least one good signature by a given key and no bad one;
//   - a signature is by a given key when the issuer that it names is that key or one of its subkeys, and is then
//     good or bad; one by a key that was not given can be neither and counts for nothing;
//   - a signature is over the exact bytes (type binary): the text type ignores line endings;
//   - the hash is at least SHA-224: MD5, SHA-1 and RIPEMD-160 are refused, in the signature and in the
//     self-signatures that hold the key together; so are DSA and RSA below 2048 bits;
//   - key, subkey and signature must be valid now, whatever date the signature bears: whoever holds a stolen
//     expired key can date a signature back;
//   - the subkey must be for signing and be bound by the primary key in both directions.
//
// Invariants: memory does not grow with the image; nothing is written; one pass over the image whatever the
// number of signatures.
package judge
