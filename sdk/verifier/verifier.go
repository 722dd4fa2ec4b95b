package verifier

import (
	"context"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Info says what the plugin is. The same facts are printed by `<binary> manifest`.
type Info struct {
	Name    string // the directory's name: "verifier-openpgp"
	Version string // semver
	Vendor  string
	Exec    string // the binary's file name; "rkt-" + Name when empty

	MediaTypes []string // types of images that it can judge

	Programs []string
	Requires plugin.Requires
	// ConfigSchema is the JSON schema of the configuration, usually embedded: rkt plugin config check reads it.
	ConfigSchema string
}

// Verifier is what a plugin must implement.
type Verifier interface {
	// Verify checks the signatures of one fetched image against the given keys. It writes nothing.
	Verify(ctx context.Context, req Request) (Judgement, error)
}

// SignerJudge says, before the image is there, whether its signatures could be accepted: Accept when a given key has
// made one of them and none is bad by itself. Image's bytes are not in the layout, and its digest and size are unknown.
type SignerJudge interface {
	Signers(ctx context.Context, req Request) (Judgement, error)
}

// Descriptor is the image-spec's, less what rkt does not use.
type Descriptor = ocilayout.Descriptor

// Request is what to judge.
type Request struct {
	LayoutDir  string // read-only: blobs/<algorithm>/<hex>
	Image      Descriptor
	Signatures []Descriptor // as the fetcher delivered them; may be empty
	Name       string       // the name that trust is asked for: "example.com/app"
	Keys       []Key        // trusted for this name
}

// Key is a public key file.
type Key struct {
	Path string
	ID   string // fingerprint as the file is named
}

// Verdict of a verifier. The zero value counts as Reject.
type Verdict int

// The verdicts.
const (
	Accept  Verdict = 1 // at least one signature by a given key is good, none is bad
	Reject  Verdict = 2 // a signature is bad, missing, expired, or by a key that was not given
	Abstain Verdict = 3 // this kind of image or signature is not for this verifier
)

// Judgement is the answer.
type Judgement struct {
	Verdict Verdict
	Signers []Signer
	Reason  string // for people: why not Accept
}

// Signer is one who signed.
type Signer struct {
	Fingerprint string // lower-case hex
	Identity    string // "Alice <alice@example.com>"
	Trusted     bool   // the key was among the given ones and the signature is good
}

// SignatureInvalid: a signature or key file cannot be parsed.
func SignatureInvalid(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.SignatureInvalid, format, args...)
}
