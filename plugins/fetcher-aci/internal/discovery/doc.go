// Package discovery finds where an appc image or a public key lies, by its name (App Container specification,
// discovery.md, "meta discovery"):
//
//	GET https://example.com/team/app?ac-discovery=1     then /team, then the bare host
//	<meta name="ac-discovery" content="example.com/team https://store.example.com/{name}-{version}-{os}-{arch}.{ext}">
//	<meta name="ac-discovery-pubkeys" content="example.com https://example.com/keys.gpg">
//
// It owns the walk, the tags and the templates, and gives back every endpoint in order; trying them is the
// caller's. The pages come from whoever owns the name's host: that is all that is known about them.
package discovery
