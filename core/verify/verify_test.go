package verify

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/core/plugin"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
)

var errCrash = errors.New("the verifier crashed")

func accept(signers ...*verifierv1.Signer) *verifierv1.VerifyResponse {
	return &verifierv1.VerifyResponse{Verdict: verifierv1.VerifyResponse_VERDICT_ACCEPT, Signers: signers}
}

// One ACCEPT with a trusted signer and nothing against it lets an image pass; all else is a refusal.
func TestJudge(t *testing.T) {
	good := &verifierv1.Signer{Fingerprint: "AA", Identity: "Ann", Trusted: true}
	bad := &verifierv1.Signer{Fingerprint: "BB", Identity: "Bob"}
	abstain := &verifierv1.VerifyResponse{Verdict: verifierv1.VerifyResponse_VERDICT_ABSTAIN, Reason: "no signature of mine"}
	reject := &verifierv1.VerifyResponse{Verdict: verifierv1.VerifyResponse_VERDICT_REJECT, Reason: "a byte differs", Signers: []*verifierv1.Signer{bad}}
	for _, c := range []struct {
		name    string
		answers []*verifierv1.VerifyResponse // nil: a crash
		pass    []string
		err     string
	}{
		{"accept", []*verifierv1.VerifyResponse{accept(good)}, []string{`AA "Ann"`}, ""},
		{"accept and abstain", []*verifierv1.VerifyResponse{abstain, accept(good)}, []string{`AA "Ann"`}, ""},
		{"accept also by an untrusted signer", []*verifierv1.VerifyResponse{accept(bad, good)}, []string{`AA "Ann"`}, ""},
		{"accept of nobody", []*verifierv1.VerifyResponse{accept()}, nil, "v0 accepted without naming a trusted signer"},
		{"accept of an untrusted signer", []*verifierv1.VerifyResponse{accept(bad)}, nil, "v0 accepted without naming a trusted signer"},
		{"a lying second accept", []*verifierv1.VerifyResponse{accept(good), accept(bad)}, nil, "v1 accepted without naming a trusted signer"},
		{"abstain alone", []*verifierv1.VerifyResponse{abstain}, nil, "v0 does not judge this image: no signature of mine"},
		{"reject", []*verifierv1.VerifyResponse{reject}, nil, `a byte differs; signed by BB "Bob"`},
		{"reject after accept", []*verifierv1.VerifyResponse{accept(good), reject}, nil, "a byte differs"},
		{"accept after reject", []*verifierv1.VerifyResponse{reject, accept(good)}, nil, "a byte differs"},
		{"no verdict", []*verifierv1.VerifyResponse{{Reason: "hm"}}, nil, "hm"},
		{"a verdict of a later minor", []*verifierv1.VerifyResponse{{Verdict: 77, Reason: "maybe", Signers: []*verifierv1.Signer{good}}}, nil, "maybe"},
		{"an unknown verdict beside accept", []*verifierv1.VerifyResponse{accept(good), {Verdict: 77}}, nil, "verify example.com/app"},
		{"crash", []*verifierv1.VerifyResponse{nil}, nil, errCrash.Error()},
		{"crash after accept", []*verifierv1.VerifyResponse{accept(good), nil}, nil, errCrash.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var entries []*plugin.Entry
			for i := range c.answers {
				entries = append(entries, &plugin.Entry{Name: "v" + string(rune('0'+i))})
			}
			got, err := judge(entries, &RefusedError{Name: "example.com/app"}, func(e *plugin.Entry) (*verifierv1.VerifyResponse, error) {
				if r := c.answers[e.Name[1]-'0']; r != nil {
					return r, nil
				}
				return nil, errCrash
			})
			if !slices.Equal(got, c.pass) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q, %v, want %q, %q", got, err, c.pass, c.err)
			}
			if err != nil && !errors.Is(err, errCrash) && !errors.As(err, new(*RefusedError)) {
				t.Errorf("%T is no refusal", err)
			}
		})
	}
}

// Without a verifier a required signature is a refusal, and none is started.
func TestNoVerifier(t *testing.T) {
	set := plugin.Discover(nil)
	_, err := Image(t.Context(), set, func(context.Context, *plugin.Entry) (*plugin.Process, error) {
		t.Error("started something")
		return nil, errCrash
	}, Request{Name: "example.com/app", Image: &fetcherv1.Descriptor{MediaType: "application/x"}})
	if err == nil || !strings.Contains(err.Error(), `no installed verifier judges images of type "application/x"`) {
		t.Error(err)
	}
}

func TestRefusedError(t *testing.T) {
	for _, c := range []struct {
		err  RefusedError
		want string
	}{
		{RefusedError{Name: "a", Trusted: 1, Reasons: []string{"x", "y"}},
			"verify a: x; y (trust a key with: rkt trust --prefix=PREFIX KEYFILE; run without a signature with: --insecure-options=image)"},
		{RefusedError{Name: "a", Reference: "shelf://a", Scheme: "shelf", PolicyFile: "/etc/rkt/policy.json", Unjudged: true, Reasons: []string{"x"}},
			`verify shelf://a: x (accept all unsigned images of the scheme by /etc/rkt/policy.json: {"schema": 1, "signatures": {"shelf": "accept-unsigned"}}; run without a signature with: --insecure-options=image)`},
		{RefusedError{Name: "a", Reference: "aci://a", Scheme: "aci", PolicyFile: "/etc/rkt/policy.json", Reasons: []string{"x"}},
			`verify aci://a: x; no key is trusted for the name a (trust a key with: rkt trust --prefix=PREFIX KEYFILE; run without a signature with: --insecure-options=image; accept all unsigned images of the scheme by /etc/rkt/policy.json: {"schema": 1, "signatures": {"aci": "accept-unsigned"}})`},
		{RefusedError{Name: "a", Reasons: []string{"x"}, Signers: []string{"AA", "BB"}},
			"verify a: x; signed by AA, BB; no key is trusted for the name a (trust a key with: rkt trust --prefix=PREFIX KEYFILE; run without a signature with: --insecure-options=image)"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
