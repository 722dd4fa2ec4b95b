package verifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// Checks in the order in which they are run.
func Checks() []suite.Check {
	check := func(id, title string, run func(ctx context.Context, e *suite.Env, c *signed) error) suite.Check {
		return suite.Check{ID: id, Title: title, Level: suite.Protocol, Service: manifest.ServiceVerifier,
			Run: func(ctx context.Context, e *suite.Env) error { return each(ctx, e, run) }}
	}
	never := func(id, title string, change func(e *suite.Env, c *signed) error) suite.Check {
		return check(id, title, func(ctx context.Context, e *suite.Env, c *signed) error {
			if err := change(e, c); err != nil {
				return err
			}
			_, err := c.refused(ctx, e)
			return err
		})
	}
	able := func(capability, id, title string, run func(context.Context, *suite.Env, *signed) error) suite.Check {
		c := check(id, title, run)
		c.Capability = capability
		return c
	}
	return []suite.Check{
		check("VE-VERIFY-01", "a good signature by a given key is ACCEPT, with its signer", good),
		never("VE-VERIFY-02", "an image of which one byte differs is never ACCEPT", func(e *suite.Env, c *signed) error {
			c.image[e.Rand.IntN(len(c.image))] ^= 1 << e.Rand.IntN(8)
			return nil
		}),
		never("VE-VERIFY-03", "a signature by a key that was not given is never ACCEPT", func(_ *suite.Env, c *signed) error {
			if len(c.others) == 0 {
				return suite.Skip("no key was given that has signed nothing")
			}
			c.keys = c.others
			return nil
		}),
		never("VE-VERIFY-04", "an image without a signature is never ACCEPT", func(_ *suite.Env, c *signed) error {
			c.sigs = nil
			return nil
		}),
		never("VE-VERIFY-05", "without a key nothing is ACCEPT", func(_ *suite.Env, c *signed) error {
			c.keys = nil
			return nil
		}),
		never("VE-VERIFY-06", "an expired key is never ACCEPT", func(_ *suite.Env, c *signed) error {
			if c.openpgp == nil {
				return suite.Skip("the kit makes expired keys of OpenPGP alone")
			}
			return c.openpgp.expiredKey(c)
		}),
		never("VE-VERIFY-07", "an expired signature is never ACCEPT", func(_ *suite.Env, c *signed) error {
			if c.openpgp == nil {
				return suite.Skip("the kit makes expired signatures of OpenPGP alone")
			}
			return c.openpgp.expiredSignature(c)
		}),
		check("VE-VERIFY-08", "what is no signature or no key is SIGNATURE_INVALID, or no ACCEPT", unparsable),
		never("VE-VERIFY-09", "a bad signature beside a good one is never ACCEPT", func(_ *suite.Env, c *signed) error {
			if c.openpgp == nil {
				return suite.Skip("the kit makes bad signatures by the same key of OpenPGP alone")
			}
			return c.openpgp.addBad(c)
		}),
		check("VE-VERIFY-10", "an image of another media type is ABSTAIN", otherType),
		never("VE-VERIFY-11", "bytes that do not have the digest that is asked about are never ACCEPT", func(_ *suite.Env, c *signed) error {
			c.lie = true
			return nil
		}),
		check("VE-VERIFY-12", "blobs that are missing, and digests that are paths, are never ACCEPT", hostile),
		check("VE-VERIFY-13", "nothing is written, and no network is needed", pure),
		check("VE-VERIFY-14", "the same question has the same answer", again),
		check("VE-VERIFY-15", "what is not ACCEPT has a reason for people", because),
		check("VE-VERIFY-16", "memory does not grow with the image", memory),
		able("signers", "VE-SIGN-01", "signers_only: a given key's signature is ACCEPT before the image is there", foreseen),
		able("signers", "VE-SIGN-02", "signers_only: without the signer's key there is no ACCEPT", foreign),
	}
}

// each calls run with every signed image that there is.
func each(ctx context.Context, e *suite.Env, run func(context.Context, *suite.Env, *signed) error) error {
	all, err := images(e)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := run(ctx, e, c); err != nil {
			return fmt.Errorf("%s: %w", c.mediaType, err)
		}
	}
	return nil
}

// verify makes the case's files and asks a fresh verifier.
func (c *signed) verify(ctx context.Context, e *suite.Env) (*verifierv1.VerifyResponse, error) {
	req, err := c.request(e)
	if err != nil {
		return nil, err
	}
	p, err := e.Ready(ctx, process.Options{NoNetwork: true})
	if err != nil {
		return nil, err
	}
	resp, rpcErr := verifierv1.NewVerifierServiceClient(p.Conn).Verify(ctx, req)
	return resp, errors.Join(rpcErr, p.Close())
}

// refused returns nil when the verdict is not ACCEPT.
func (c *signed) refused(ctx context.Context, e *suite.Env) (*verifierv1.VerifyResponse, error) {
	resp, err := c.verify(ctx, e)
	if err != nil {
		return nil, answer.Known(err)
	}
	switch v := resp.GetVerdict(); v {
	case verifierv1.VerifyResponse_VERDICT_REJECT, verifierv1.VerifyResponse_VERDICT_ABSTAIN:
		for _, s := range resp.GetSigners() {
			if s.GetTrusted() && v == verifierv1.VerifyResponse_VERDICT_ABSTAIN {
				return nil, fmt.Errorf("it abstains, and calls signer %s trusted", s.GetFingerprint())
			}
		}
		return resp, nil
	default:
		return nil, fmt.Errorf("the verdict is %v", v)
	}
}

func good(ctx context.Context, e *suite.Env, c *signed) error {
	resp, err := c.verify(ctx, e)
	if err != nil {
		return err
	}
	return accepted(resp)
}

func accepted(resp *verifierv1.VerifyResponse) error {
	if resp.GetVerdict() != verifierv1.VerifyResponse_VERDICT_ACCEPT {
		return fmt.Errorf("the verdict is %v: %s", resp.GetVerdict(), resp.GetReason())
	}
	for _, s := range resp.GetSigners() {
		if s.GetTrusted() && s.GetFingerprint() != "" && s.GetFingerprint() == strings.ToLower(s.GetFingerprint()) {
			return nil
		}
	}
	return errors.New("ACCEPT names no trusted signer with a lower-case fingerprint")
}

func unparsable(ctx context.Context, e *suite.Env, c *signed) error {
	sigs, keys := c.sigs, c.keys
	for _, b := range [][]byte{[]byte("this is no signature"), {}, bytes.Repeat([]byte{0xff}, 3000)} {
		for _, what := range []string{"signature", "key"} {
			c.sigs, c.keys = sigs, keys
			if what == "signature" {
				c.sigs = [][]byte{b}
			} else {
				c.keys = []file{{id: keys[0].id, bytes: b}}
			}
			resp, err := c.verify(ctx, e)
			if err != nil {
				err = answer.Want(err, reason.SignatureInvalid)
			} else if resp.GetVerdict() == verifierv1.VerifyResponse_VERDICT_ACCEPT {
				err = errors.New("the verdict is ACCEPT")
			}
			if err != nil {
				return fmt.Errorf("with %d bytes that are no %s: %w", len(b), what, err)
			}
		}
	}
	return nil
}

func otherType(ctx context.Context, e *suite.Env, c *signed) error {
	c.mediaType = "application/vnd.rkt.conformance.unknown"
	resp, err := c.verify(ctx, e)
	if err != nil {
		return err
	}
	if resp.GetVerdict() != verifierv1.VerifyResponse_VERDICT_ABSTAIN {
		return fmt.Errorf("the verdict is %v", resp.GetVerdict())
	}
	return nil
}

func hostile(ctx context.Context, e *suite.Env, c *signed) error {
	for name, change := range map[string]func(req *verifierv1.VerifyRequest) error{
		"no image": func(req *verifierv1.VerifyRequest) error {
			return os.Remove(filepath.Join(req.GetLayoutDir(), layout.BlobName(req.GetImage().GetDigest())))
		},
		"no signature blob": func(req *verifierv1.VerifyRequest) error {
			return os.Remove(filepath.Join(req.GetLayoutDir(), layout.BlobName(req.GetSignatures()[0].GetDigest())))
		},
		"the image's digest is a path": func(req *verifierv1.VerifyRequest) error {
			req.Image.Digest = "sha256:../../../../../../etc/passwd"
			return nil
		},
		"the signature's digest is a path": func(req *verifierv1.VerifyRequest) error {
			req.Signatures[0].Digest = "sha256:../../../../../../dev/zero"
			return nil
		},
		"the key is missing": func(req *verifierv1.VerifyRequest) error {
			req.Keys[0].Path += ".gone"
			return nil
		},
	} {
		req, err := c.request(e)
		if err != nil {
			return err
		}
		if err := change(req); err != nil {
			return err
		}
		p, err := e.Ready(ctx, process.Options{NoNetwork: true})
		if err != nil {
			return err
		}
		resp, err := verifierv1.NewVerifierServiceClient(p.Conn).Verify(ctx, req)
		if err == nil && resp.GetVerdict() == verifierv1.VerifyResponse_VERDICT_ACCEPT {
			return fmt.Errorf("%s: the verdict is ACCEPT", name)
		}
		if err := answer.Known(err); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func pure(ctx context.Context, e *suite.Env, c *signed) error {
	req, err := c.request(e)
	if err != nil {
		return err
	}
	p, err := e.Ready(ctx, process.Options{NoNetwork: true, ReadOnly: os.Geteuid() == 0})
	if err != nil {
		return err
	}
	scratch := filepath.Dir(req.GetLayoutDir())
	before := names(scratch, p.SocketDir)
	resp, err := verifierv1.NewVerifierServiceClient(p.Conn).Verify(ctx, req)
	if err != nil {
		return fmt.Errorf("with everything read-only and no network: %w", err)
	}
	if resp.GetVerdict() != verifierv1.VerifyResponse_VERDICT_ACCEPT {
		return fmt.Errorf("with everything read-only and no network the verdict is %v: %s", resp.GetVerdict(), resp.GetReason())
	}
	if after := names(scratch, p.SocketDir); !slices.Equal(before, after) {
		return fmt.Errorf("it wrote: before %d files, after %d", len(before), len(after))
	}
	return nil
}

func again(ctx context.Context, e *suite.Env, c *signed) error {
	req, err := c.request(e)
	if err != nil {
		return err
	}
	var first *verifierv1.VerifyResponse
	for range 2 {
		p, err := e.Ready(ctx, process.Options{NoNetwork: true})
		if err != nil {
			return err
		}
		for range 2 {
			resp, err := verifierv1.NewVerifierServiceClient(p.Conn).Verify(ctx, req)
			if err != nil {
				return err
			}
			if first == nil {
				first = resp
			}
			if !proto.Equal(first, resp) {
				return fmt.Errorf("first %v, then %v", first, resp)
			}
		}
	}
	return nil
}

func because(ctx context.Context, e *suite.Env, c *signed) error {
	c.sigs = nil
	resp, err := c.refused(ctx, e)
	if err != nil {
		return err
	}
	if resp != nil && strings.TrimSpace(resp.GetReason()) == "" {
		return fmt.Errorf("%v comes without a reason", resp.GetVerdict())
	}
	return nil
}

// large is more than any bound on memory.
const large = 192 << 20

func memory(ctx context.Context, e *suite.Env, c *signed) error {
	if c.openpgp == nil {
		return suite.Skip("the kit makes large signed images of OpenPGP alone")
	}
	req, err := c.openpgp.large(e, c, large)
	if err != nil {
		return err
	}
	p, err := e.Ready(ctx, process.Options{NoNetwork: true})
	if err != nil {
		return err
	}
	resp, err := verifierv1.NewVerifierServiceClient(p.Conn).Verify(ctx, req)
	if err != nil {
		return err
	}
	if resp.GetVerdict() != verifierv1.VerifyResponse_VERDICT_ACCEPT {
		return fmt.Errorf("the verdict about an image of %d MiB is %v: %s", large>>20, resp.GetVerdict(), resp.GetReason())
	}
	rss, err := p.PeakRSS()
	if err != nil {
		return err
	}
	if rss > e.Plugin.MaxRSS {
		return fmt.Errorf("with an image of %d MiB, %d MiB were resident; the bound is %d MiB", large>>20, rss>>20, e.Plugin.MaxRSS>>20)
	}
	return nil
}
