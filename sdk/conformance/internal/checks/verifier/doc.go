// Package verifier holds the checks of level protocol that are about verifiers: whatever is wrong with an image, its
// signatures or its keys, the verdict is never ACCEPT. Images signed with OpenPGP the kit makes itself; of other formats
// the caller gives good ones, of which the kit makes bad ones.
package verifier
