// Package verify is the second dispatch step: it asks verifier plugins whether an image's signatures are good.
//
// It owns the call and the combination of verdicts, and fails closed: a verifier that is missing, crashes,
// hangs, abstains or answers an unknown verdict is a refusal. Which keys count for a name is core/trust's
// policy; whether a signature is needed at all is the caller's.
package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/manifest"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
)

const deadline = 60 * time.Second

// Request is one image with what the fetcher delivered and the keys that are trusted for its name.
type Request struct {
	Name       string
	LayoutDir  string
	Image      *fetcherv1.Descriptor
	Signatures []*fetcherv1.Descriptor
	Keys       []Key

	signersOnly bool
}

// Key is a trusted public key file.
type Key struct{ Path, ID string }

// RefusedError says why no signature was accepted.
type RefusedError struct {
	Name    string
	Trusted int // how many keys are trusted for the name
	Reasons []string
	Signers []string // fingerprint and identity of signers that are not trusted
	// Unjudged says that no verifier had a word for such an image: another key would change nothing.
	Unjudged bool
	// What the caller knows of the image, for the way out: the reference with its scheme, and the file of the policy that
	// can rule on the scheme, empty where it does not demand the signature.
	Reference, Scheme, PolicyFile string
}

func (e *RefusedError) Error() string {
	what := e.Reference
	if what == "" {
		what = e.Name
	}
	msg := fmt.Sprintf("verify %s: %s", what, strings.Join(e.Reasons, "; "))
	if len(e.Signers) > 0 {
		msg += "; signed by " + strings.Join(e.Signers, ", ")
	}
	once := "run without a signature with: --insecure-options=image"
	policy := ""
	if e.PolicyFile != "" {
		policy = fmt.Sprintf(`accept all unsigned images of the scheme by %s: {"schema": 1, "signatures": {%q: "accept-unsigned"}}`, e.PolicyFile, e.Scheme)
	}
	if e.Unjudged {
		return msg + " (" + joined(policy, once) + ")"
	}
	if e.Trusted == 0 {
		msg += fmt.Sprintf("; no key is trusted for the name %s", e.Name)
	}
	return msg + " (" + joined("trust a key with: rkt trust --prefix=PREFIX KEYFILE", once, policy) + ")"
}

// joined leaves out what is empty.
func joined(ways ...string) string {
	return strings.Join(slices.DeleteFunc(ways, func(s string) bool { return s == "" }), "; ")
}

// Launcher starts a verifier.
type Launcher func(ctx context.Context, e *plugin.Entry) (*plugin.Process, error)

// Image asks every verifier that judges the image's media type. One ACCEPT without a REJECT lets it pass.
func Image(ctx context.Context, set *plugin.Set, start Launcher, req Request) ([]string, error) {
	refused := &RefusedError{Name: req.Name, Trusted: len(req.Keys)}
	entries := set.Verifiers(req.Image.GetMediaType())
	if len(entries) == 0 {
		why := fmt.Sprintf("a signature is required, and no installed verifier judges images of type %q", req.Image.GetMediaType())
		if strings.Contains(req.Image.GetMediaType(), "appc") {
			why += " (install the package rkt-verifier-openpgp)"
		}
		refused.Reasons, refused.Unjudged = []string{why}, true
		return nil, refused
	}
	return judge(entries, refused, func(e *plugin.Entry) (*verifierv1.VerifyResponse, error) { return ask(ctx, e, start, req) })
}

// judge combines the verdicts; what speaks against the image is added to refused.
func judge(entries []*plugin.Entry, refused *RefusedError, ask func(*plugin.Entry) (*verifierv1.VerifyResponse, error)) ([]string, error) {
	var accepted []string
	rejected := false
	for _, e := range entries {
		resp, err := ask(e)
		if err != nil {
			return nil, err
		}
		switch resp.GetVerdict() {
		case verifierv1.VerifyResponse_VERDICT_ACCEPT:
			before := len(accepted)
			for _, s := range resp.GetSigners() {
				if s.GetTrusted() {
					accepted = append(accepted, signer(s))
				}
			}
			if len(accepted) == before {
				rejected = true
				refused.Reasons = append(refused.Reasons, e.Name+" accepted without naming a trusted signer")
			}
		case verifierv1.VerifyResponse_VERDICT_ABSTAIN:
			refused.Reasons = append(refused.Reasons, e.Name+" does not judge this image: "+resp.GetReason())
		default:
			rejected = true
			refused.rejected(resp)
		}
	}
	if rejected || len(accepted) == 0 {
		refused.Unjudged = !rejected // all have abstained
		return nil, refused
	}
	return accepted, nil
}

func (e *RefusedError) rejected(resp *verifierv1.VerifyResponse) {
	e.Reasons = append(e.Reasons, resp.GetReason())
	for _, s := range resp.GetSigners() {
		if !s.GetTrusted() && !strings.Contains(resp.GetReason(), s.GetFingerprint()) {
			e.Signers = append(e.Signers, signer(s))
		}
	}
}

func signer(s *verifierv1.Signer) string {
	if s.GetIdentity() == "" {
		return s.GetFingerprint()
	}
	return fmt.Sprintf("%s %q", s.GetFingerprint(), s.GetIdentity())
}

// Signers asks what can be asked before the image is there: whether its signatures are by keys that count. It only
// ever refuses early; who passes is judged by Image. Verifiers that cannot tell are not asked.
func Signers(ctx context.Context, set *plugin.Set, start Launcher, req Request) error {
	refused := &RefusedError{Name: req.Name, Trusted: len(req.Keys)}
	req.signersOnly = true
	for _, e := range set.Verifiers(req.Image.GetMediaType()) {
		if !e.Capable(manifest.ServiceVerifier, "signers") {
			continue
		}
		resp, err := ask(ctx, e, start, req)
		if err != nil {
			return err
		}
		switch resp.GetVerdict() {
		case verifierv1.VerifyResponse_VERDICT_ACCEPT, verifierv1.VerifyResponse_VERDICT_ABSTAIN:
		default:
			refused.rejected(resp)
		}
	}
	if len(refused.Reasons) > 0 {
		return refused
	}
	return nil
}

func ask(ctx context.Context, e *plugin.Entry, start Launcher, req Request) (*verifierv1.VerifyResponse, error) {
	p, err := start(ctx, e)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	in := &verifierv1.VerifyRequest{LayoutDir: req.LayoutDir, Image: req.Image, Signatures: req.Signatures, Name: req.Name, SignersOnly: req.signersOnly}
	for _, k := range req.Keys {
		in.Keys = append(in.Keys, &verifierv1.Key{Path: k.Path, Id: k.ID})
	}
	return plugin.Call(ctx, p, "verify "+req.Name, deadline, func(ctx context.Context) (*verifierv1.VerifyResponse, error) {
		return p.Verifier().Verify(ctx, in)
	})
}
