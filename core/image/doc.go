// Package image owns how people name images.
//
//	docker://REF, docker:REF         a registry's image: [HOST[:PORT]/]PATH[:TAG][@DIGEST]
//	oci:DIR[:TAG]                    an OCI image layout
//	oci-archive:FILE[:TAG]           the same in a tar file
//	docker-archive:FILE[:REF]        what `docker save` writes
//	aci://NAME[:VERSION][,L=V...]    an App Container image, found by appc discovery
//	/FILE, ./FILE, ../FILE, file://FILE, NAME.aci   an ACI on disk: scheme "aci-file"
//	http://URL.aci, https://URL.aci  an ACI on a server: schemes "http" and "https"
//	sha256-HEX, sha512-HEX, sha256:HEX  a stored image by a prefix of its ID: scheme "id"
//	VENDOR://REST                    whatever a vendor's fetcher plugin serves
//	anything else                    a bare name: scheme ""
//
// Ref.String is the full, normal form: what a fetcher is handed, and under what the store files an image, so
// that docker://busybox and docker://docker.io/library/busybox:latest are one. A bare name has none; Candidates
// gives what it may stand for.
//
// Parsing never looks at the disk or the network. A Ref that Parse returned holds no control character and no
// invalid UTF-8, so it can be printed as it is; text from images cannot, and goes through Printable.
//
// It does not own the store (core/store) or the choice of the fetcher (core/fetch).
package image
