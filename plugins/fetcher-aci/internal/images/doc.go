// Package images is the fetcher that core calls: it takes references apart by scheme and leaves the bytes of
// an appc image and of its signature in a layout directory.
//
//	aci://NAME[:VERSION][,LABEL=VALUE...]   by appc discovery
//	https://URL.aci, http://URL.aci         from a server
//	aci-file:/PATH                          from this host
//	aci-keys://PREFIX                       public keys by discovery, aci-keys://https://URL from a server
//
// What it delivers: the ACI byte for byte as application/vnd.appc.image.aci, each signature as
// application/pgp-signature; for aci-keys one blob of armored keys, application/pgp-keys. The canonical name is
// always aci://NAME with all labels, as the image's own manifest has it, since that is what trust is asked for.
//
// It judges no signature and knows no key: a manifest that was read here is a claim until core has verified it.
package images
