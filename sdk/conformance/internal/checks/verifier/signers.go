package verifier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// signers asks about an image that is not there.
func (c *signed) signers(ctx context.Context, e *suite.Env) (*verifierv1.VerifyResponse, error) {
	req, err := c.request(e)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(req.GetLayoutDir(), layout.BlobName(req.GetImage().GetDigest()))); err != nil {
		return nil, err
	}
	req.Image, req.SignersOnly = &fetcherv1.Descriptor{MediaType: c.mediaType}, true
	p, err := e.Ready(ctx, process.Options{NoNetwork: true})
	if err != nil {
		return nil, err
	}
	resp, rpcErr := verifierv1.NewVerifierServiceClient(p.Conn).Verify(ctx, req)
	return resp, errors.Join(rpcErr, p.Close())
}

func foreseen(ctx context.Context, e *suite.Env, c *signed) error {
	resp, err := c.signers(ctx, e)
	if err != nil {
		return err
	}
	return accepted(resp)
}

// foreign is the same with keys that have signed nothing, and with none.
func foreign(ctx context.Context, e *suite.Env, c *signed) error {
	for _, keys := range [][]file{c.others, nil} {
		c.keys = keys
		resp, err := c.signers(ctx, e)
		if err != nil {
			if err := answer.Known(err); err != nil {
				return err
			}
			continue
		}
		if v := resp.GetVerdict(); v != verifierv1.VerifyResponse_VERDICT_REJECT && v != verifierv1.VerifyResponse_VERDICT_ABSTAIN {
			return fmt.Errorf("with %d keys, none of them the signer's, the verdict is %v", len(keys), v)
		}
	}
	return nil
}
