package engine

import (
	"context"
	"errors"

	"github.com/rkt/rkt/v2/core/fetch"
	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/proto/manifest"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// unchanged is the stored image of ref if that is what ref means at its origin now, so that --pull-policy=update costs one
// question where nothing is new; nil when it is not, when nothing is stored, or when the fetcher cannot tell.
func (e *Engine) unchanged(ctx context.Context, st *store.Store, ref image.Ref, access *fetcherv1.Access) (*store.Image, error) {
	entry, err := e.Plugins().Fetcher(ref.Scheme)
	if err != nil || !entry.Capable(manifest.ServiceFetcher, "resolve") || ref.IsLocal() {
		return nil, err
	}
	stored, err := st.Lookup(ref)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	p, err := e.launch(ctx, entry, plugin.Options{Kind: plugin.KindFetcher})
	if err != nil {
		return nil, err
	}
	now, err := fetch.Resolve(ctx, p, fetch.Request{Reference: ref.String(), Access: access})
	if err = errors.Join(err, p.Close()); err != nil || now.GetDescriptor_().GetDigest() != stored.Manifest {
		return nil, err
	}
	return stored, nil
}

// access is what a fetcher is told beside the reference.
func (e *Engine) access(ref image.Ref, spec FetchSpec, signed bool) (*fetcherv1.Access, error) {
	creds, err := e.Config.Credentials(ref.Scheme)
	if err != nil {
		return nil, err
	}
	a := &fetcherv1.Access{
		AllowHttp: e.Config.Insecure.HTTP, InsecureTls: e.Config.Insecure.TLS,
		SignatureFile: spec.Signature, WantSignature: signed,
	}
	for _, c := range creds {
		a.Credentials = append(a.Credentials, &fetcherv1.Credential{Host: c.Host, Username: c.Username, Password: c.Password, Token: c.Token})
	}
	return a, nil
}
