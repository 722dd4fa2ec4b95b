package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// PolicyFile is the name of the policy below the configuration directory.
const PolicyFile = "policy.json"

// PolicySchema is the version of policy.json.
const PolicySchema = 1

// Rule is what the policy says about one scheme of references.
type Rule string

// The rules.
const (
	// Require demands a good signature by a key that is trusted for the name.
	Require Rule = "require"
	// AcceptUnsigned runs the image without one.
	AcceptUnsigned Rule = "accept-unsigned"
)

// Policy says for which schemes of references a signature is demanded.
type Policy struct {
	Schema     int             `json:"schema"`
	Signatures map[string]Rule `json:"signatures"`
}

// DefaultPolicy is what is shipped. Appc images are signed by their format, so a signature is demanded.
// Registries, OCI layouts and docker-save archives carry no OpenPGP signatures; there the digest names the
// bytes, and the transport or the admin vouches for the digest.
func DefaultPolicy() *Policy {
	return &Policy{Schema: PolicySchema, Signatures: map[string]Rule{
		"aci":            Require,
		"aci-file":       Require,
		"file":           Require,
		"http":           Require,
		"https":          Require,
		"docker":         AcceptUnsigned,
		"oci":            AcceptUnsigned,
		"oci-archive":    AcceptUnsigned,
		"docker-archive": AcceptUnsigned,
	}}
}

// LoadPolicy reads policy.json from the configuration directories, each laid over the former ones and over the
// shipped policy, scheme by scheme. A missing file changes nothing; a file that is not understood is an error
// and never a weaker policy.
func LoadPolicy(configDirs ...string) (*Policy, error) {
	p := DefaultPolicy()
	for _, dir := range configDirs {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, PolicyFile)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("load signature policy: %w", err)
		}
		over, err := parsePolicy(b)
		if err != nil {
			return nil, fmt.Errorf("load signature policy: %s: %w", path, err)
		}
		maps.Copy(p.Signatures, over.Signatures)
	}
	return p, nil
}

// parsePolicy is strict: a misspelt key in a security setting must not be a setting that has no effect.
func parsePolicy(b []byte) (*Policy, error) {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	var p Policy
	if err := d.Decode(&p); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one JSON value in it")
	}
	if p.Schema != PolicySchema {
		return nil, fmt.Errorf("schema is %d, this rkt reads %d", p.Schema, PolicySchema)
	}
	for _, scheme := range slices.Sorted(maps.Keys(p.Signatures)) {
		if r := p.Signatures[scheme]; r != Require && r != AcceptUnsigned {
			return nil, fmt.Errorf("signatures.%s is %q, known are %q and %q", scheme, r, Require, AcceptUnsigned)
		}
	}
	return &p, nil
}

// Required says whether images of the scheme need a good signature. A scheme that nobody has ruled on does:
// a vendor's fetcher is not a way around the policy.
func (p *Policy) Required(scheme string) bool {
	rule, ok := p.Signatures[scheme]
	if !ok {
		rule = p.Signatures[anyScheme]
	}
	return rule != AcceptUnsigned
}

// Insecure returns the policy under `--insecure-options=image`: no scheme needs a signature.
func (p *Policy) Insecure() *Policy {
	out := &Policy{Schema: PolicySchema, Signatures: maps.Clone(p.Signatures)}
	for scheme := range out.Signatures {
		out.Signatures[scheme] = AcceptUnsigned
	}
	out.Signatures[anyScheme] = AcceptUnsigned
	return out
}

// anyScheme is the entry that Insecure leaves for schemes not listed. In policy.json it is the admin's way to
// rule on all others.
const anyScheme = "*"
