// Command rkt-verifier-digest accepts images whose digests the administrator has written down, in verifier-digest.json:
// {"allow": {"registry.example/app": ["sha256:..."]}}. rkt runs no other bytes than those with the digest judged here.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/verifier"
)

//go:embed config.schema.json
var schema string // rkt plugin config check holds verifier-digest.json against it

func main() {
	verifier.Main(verifier.Info{
		Name: "verifier-digest", Version: "1.0.0", ConfigSchema: schema,
		MediaTypes: []string{
			"application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
			"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json",
		},
	}, &digests{})
}

type digests struct {
	Allow map[string][]string `json:"allow"` // image name, without scheme and tag, to the digests that it may have
}

// Configure is called before Verify when there is a configuration. A key that nobody knows is a mistyped one.
func (d *digests) Configure(_ context.Context, c plugin.Config) ([]plugin.Diagnostic, error) {
	var now digests // what was configured before does not count
	if len(c.JSON) > 0 {
		dec := json.NewDecoder(bytes.NewReader(c.JSON))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&now); err != nil {
			return nil, plugin.ConfigInvalid("parse configuration: %w", err)
		}
	}
	*d = now
	return nil, nil
}

// Verify rejects what is not in the list: without one, everything.
func (d *digests) Verify(_ context.Context, req verifier.Request) (verifier.Judgement, error) {
	if !slices.Contains(d.Allow[req.Name], req.Image.Digest) {
		return verifier.Judgement{Verdict: verifier.Reject, Reason: fmt.Sprintf("%s is not in the list for %q", req.Image.Digest, req.Name)}, nil
	}
	return verifier.Judgement{Verdict: verifier.Accept, Signers: []verifier.Signer{
		{Fingerprint: req.Image.Digest, Identity: "the administrator's list", Trusted: true},
	}}, nil
}
