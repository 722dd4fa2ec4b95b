package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/core/fetch"
	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/core/trust"
	"github.com/rkt/rkt/v2/core/verify"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// askForTrust looks up the keys that a name's server offers, when none counts for the name yet, and has the observer
// review them. What is not agreed to, and a server that offers none, is no error here: the refusal that follows
// says that no key is trusted. The port in asked is where the server is found, and no part of the name.
func (e *Engine) askForTrust(ctx context.Context, asked string) error {
	if e.Observer.Review == nil {
		return nil
	}
	name := withoutPort(asked)
	if keys, err := e.Keyring().KeysFor(name); err != nil || len(keys) > 0 {
		return err
	}
	blobs, err := e.DiscoverKeys(ctx, asked)
	if err != nil {
		if ctx.Err() == nil {
			e.Observer.warn("no key is trusted for %s, and its server offers none: %v", name, err)
		}
		return ctx.Err()
	}
	for _, b := range blobs {
		infos, err := trust.Fingerprints(b)
		if err != nil {
			return fmt.Errorf("look up the keys of %s: %w", name, err)
		}
		agreed, err := e.Observer.Review(name, infos)
		if err != nil {
			return err
		}
		if !agreed {
			continue
		}
		if _, err := e.Keyring().Add(name, b); err != nil {
			return err
		}
	}
	return nil
}

// checkSigners refuses an image by a signer that nobody trusts before its bytes are moved.
func (e *Engine) checkSigners(ctx context.Context, p *plugin.Process, req fetch.Request, name string) error {
	done, err := fetch.Signatures(ctx, p, req)
	if err != nil || len(done.GetSignatures()) == 0 {
		return err
	}
	in, err := e.verification(name, req.LayoutDir, done)
	if err != nil {
		return err
	}
	return verify.Signers(ctx, e.Plugins(), e.launchVerifier, in)
}

func (e *Engine) verifySignature(ctx context.Context, staging *store.Staging, name string, done *fetcherv1.FetchDone) error {
	in, err := e.verification(name, staging.LayoutDir(), done)
	if err != nil {
		return err
	}
	_, err = verify.Image(ctx, e.Plugins(), e.launchVerifier, in)
	return err
}

func (e *Engine) launchVerifier(ctx context.Context, entry *plugin.Entry) (*plugin.Process, error) {
	return e.launch(ctx, entry, plugin.Options{Kind: plugin.KindVerifier})
}

// verification is what a verifier is asked, with the keys that count for the name.
func (e *Engine) verification(name, layout string, done *fetcherv1.FetchDone) (verify.Request, error) {
	trusted, err := e.Keyring().KeysFor(name)
	if err != nil {
		return verify.Request{}, err
	}
	req := verify.Request{Name: name, LayoutDir: layout, Image: done.GetImage(), Signatures: done.GetSignatures()}
	for _, k := range trusted {
		req.Keys = append(req.Keys, verify.Key{Path: k.Path, ID: k.ID})
	}
	return req, nil
}

// explainRefusal adds to a refusal what the verifiers were not told: how the image was named, and where the policy is.
func (e *Engine) explainRefusal(err error, ref image.Ref, policy *trust.Policy) error {
	var refused *verify.RefusedError
	if errors.As(err, &refused) {
		refused.Reference, refused.Scheme = ref.String(), ref.Scheme
		if policy.Required(ref.Scheme) {
			refused.PolicyFile = filepath.Join(e.Config.LocalConfig, trust.PolicyFile)
		}
	}
	return err
}

// trustName is the name that keys are trusted for: "aci://example.com/app:1.0,os=linux" is "example.com/app".
func trustName(canonical string) string {
	_, name, found := strings.Cut(canonical, "://")
	if !found {
		name = canonical
	}
	if i := strings.IndexByte(name, ','); i >= 0 {
		name = name[:i]
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return strings.TrimLeft(name, "/") // a vendor's scheme may name files
}

// withoutPort drops the port of a name's host: it is where a server was found, no part of an appc name.
func withoutPort(name string) string {
	host, rest, found := strings.Cut(name, "/")
	host, _, _ = strings.Cut(host, ":")
	if !found {
		return host
	}
	return host + "/" + rest
}
