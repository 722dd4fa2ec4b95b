package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rkt/rkt/v2/core/config"
	"github.com/rkt/rkt/v2/core/fetch"
	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/core/trust"
	"github.com/rkt/rkt/v2/proto/manifest"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// FetchSpec is one image to have.
type FetchSpec struct {
	Image     string
	Signature string // file with a detached signature
	Policy    PullPolicy
}

// Fetch returns the image, from the store or its origin as the policy says.
func (e *Engine) Fetch(ctx context.Context, spec FetchSpec) (*store.Image, error) {
	ref, err := parseImage(spec.Image)
	if err != nil {
		return nil, err
	}
	st, err := e.store()
	if err != nil {
		return nil, err
	}
	release, err := st.Hold()
	if err != nil {
		return nil, err
	}
	defer release()
	return e.fetchHeld(ctx, st, ref, spec)
}

// fetchHeld is Fetch for a caller that holds the store, so that image gc cannot take the result away.
func (e *Engine) fetchHeld(ctx context.Context, st *store.Store, ref image.Ref, spec FetchSpec) (*store.Image, error) {
	stored, err := st.Lookup(ref)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if stored != nil && (spec.Policy != PullUpdate && !ref.IsLocal() || ref.Scheme == image.ID) {
		return stored, nil
	}
	if ref.Scheme == image.ID {
		return nil, err // an ID names stored images alone; the error says how to list them
	}
	if spec.Policy == PullNever {
		return nil, fmt.Errorf("image %q is not in the store, and --pull-policy=never forbids fetching it: %w", spec.Image, store.ErrNotFound)
	}
	return e.fetchRemote(ctx, st, ref, spec)
}

// fetchRemote tries the reference, or a bare name with each scheme of image.search, and says all that was tried.
func (e *Engine) fetchRemote(ctx context.Context, st *store.Store, ref image.Ref, spec FetchSpec) (*store.Image, error) {
	if ref.Scheme != image.Bare {
		return e.fetchOne(ctx, st, ref, spec)
	}
	// A registry must not be asked for what is a path of this host.
	if scheme, rest, ok := strings.Cut(spec.Image, ":"); ok {
		if _, err := e.Plugins().Fetcher(scheme); err == nil {
			return nil, fmt.Errorf("find image: %w %q: %q is also the scheme of an installed fetcher: write %s://%s, or docker://%s",
				image.ErrInvalid, spec.Image, scheme, scheme, strings.TrimPrefix(rest, "//"), spec.Image)
		}
	}
	var tried []error
	for _, r := range ref.Candidates(e.Config.ImageSearch) {
		img, err := e.fetchOne(ctx, st, r, spec)
		if err == nil {
			return img, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		tried = append(tried, fmt.Errorf("as %s: %w", r, err))
	}
	return nil, fmt.Errorf("find image %q: it is not in the store, and image.search = [%s] found nothing:\n%w",
		spec.Image, strings.Join(e.Config.ImageSearch, ", "), errors.Join(tried...))
}

// fetchOne is the life of an image: fetch, verify, convert, ingest, each in a process of its own.
func (e *Engine) fetchOne(ctx context.Context, st *store.Store, ref image.Ref, spec FetchSpec) (*store.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Config.FetchLimit)
	defer cancel()
	policy, err := trust.LoadPolicy(e.Config.SystemConfig, e.Config.LocalConfig)
	if err != nil {
		return nil, &config.InvalidError{Err: err}
	}
	signed := policy.Required(ref.Scheme) && !e.Config.Insecure.Image || spec.Signature != ""
	access, err := e.access(ref, spec, signed)
	if err != nil {
		return nil, err
	}
	if spec.Policy == PullUpdate && !signed { // a signature is judged with the keys of today
		if img, err := e.unchanged(ctx, st, ref, access); img != nil || err != nil {
			return img, err
		}
	}

	staging, err := st.NewStaging(ref.String())
	if err != nil {
		return nil, err
	}
	defer staging.Close()
	uid, gid, err := plugin.Owner(plugin.KindFetcher, os.Geteuid(), os.Getegid())
	if err != nil {
		return nil, err
	}
	if err := staging.Chown(uid, gid); err != nil {
		return nil, err
	}

	if signed && ref.Scheme == image.ACI {
		if err := e.askForTrust(ctx, trustName(ref.String())); err != nil {
			return nil, err
		}
	}
	done, err := e.download(ctx, st, staging, ref, spec, access)
	if err != nil {
		return nil, e.explainRefusal(err, ref, policy)
	}
	name := trustName(done.GetCanonical())
	if signed {
		// Else a signature that is good for another name would do: the fetcher speaks with the server, and is not trusted.
		if asked := withoutPort(trustName(ref.String())); ref.Scheme == image.ACI && asked != withoutPort(name) {
			return nil, fmt.Errorf("verify %s: the fetcher delivered %q instead", asked, name)
		}
		if err := e.verifySignature(ctx, staging, name, done); err != nil {
			return nil, e.explainRefusal(err, ref, policy)
		}
	}
	in := store.IngestRequest{
		LayoutDir: staging.LayoutDir(), Image: descriptor(done.GetImage()), Names: names(ref, done.GetCanonical()),
		Progress: e.Observer.Progress,
	}
	if !fetch.IsOCI(done.GetImage().GetMediaType()) {
		if err := e.convert(ctx, staging, name, signed, done, &in); err != nil {
			return nil, err
		}
	}
	img, err := st.Ingest(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", ref, err)
	}
	return img, nil
}

func (e *Engine) download(ctx context.Context, st *store.Store, staging *store.Staging, ref image.Ref, spec FetchSpec, access *fetcherv1.Access) (*fetcherv1.FetchDone, error) {
	entry, err := e.Plugins().Fetcher(ref.Scheme)
	if err != nil {
		return nil, err
	}
	if err := reachable(staging.LayoutDir()); err != nil {
		return nil, err
	}
	fds, err := openLocal(ref, spec.Signature)
	defer closeAll(fds)
	if err != nil {
		return nil, err
	}
	present, err := st.KnownBlobs()
	if err != nil {
		return nil, err
	}
	req := fetch.Request{
		Reference: ref.String(), LayoutDir: staging.LayoutDir(), Access: access, Present: present, Progress: e.Observer.progress,
	}
	var done *fetcherv1.FetchDone
	err = e.guarded(ctx, staging, entry, plugin.Options{Kind: plugin.KindFetcher, Writable: []string{staging.LayoutDir()}, FDs: fds},
		func(ctx context.Context, p *plugin.Process) (err error) {
			// A URL or a file says only in the image what it is called, and so which keys count.
			if access.GetWantSignature() && ref.Scheme == image.ACI && entry.Capable(manifest.ServiceFetcher, "signatures") {
				if err := e.checkSigners(ctx, p, req, withoutPort(trustName(ref.String()))); err != nil {
					return err
				}
			}
			done, err = fetch.Image(ctx, p, req)
			return err
		})
	return done, err
}

// convert runs after verification, in a fresh process without network, and points in at the result.
func (e *Engine) convert(ctx context.Context, staging *store.Staging, name string, signed bool, done *fetcherv1.FetchDone, in *store.IngestRequest) error {
	entry, err := e.Plugins().Converter(done.GetImage().GetMediaType())
	if err != nil {
		return err
	}
	out, err := staging.NewLayout("converted")
	if err != nil {
		return err
	}
	uid, gid, err := plugin.Owner(plugin.KindConverter, os.Geteuid(), os.Getegid())
	if err != nil {
		return err
	}
	if err := staging.ChownLayout("converted", uid, gid); err != nil {
		return err
	}
	var resp *fetcherv1.ConvertResponse
	err = e.guarded(ctx, staging, entry, plugin.Options{Kind: plugin.KindConverter, Writable: []string{out}},
		func(ctx context.Context, p *plugin.Process) (err error) {
			resp, err = fetch.Convert(ctx, p, name, staging.LayoutDir(), out, done.GetImage())
			return err
		})
	if err != nil {
		return err
	}
	// The signature was judged for the name that the fetcher claimed; the image must bear that very name.
	if signed && resp.GetName() != name {
		return fmt.Errorf("verify %s: the image calls itself %q, so its signature was checked for the wrong name", name, resp.GetName())
	}
	in.LayoutDir, in.Image = out, descriptor(resp.GetImage())
	if resp.GetApp() != nil {
		app := descriptor(resp.GetApp())
		in.App = &app
	}
	return nil
}

// names are what the image will be found by: what the user typed and what the fetcher calls it.
func names(ref image.Ref, canonical string) []string {
	out := []string{}
	if canonical != "" {
		out = append(out, canonical)
	}
	if s := ref.String(); s != canonical {
		out = append(out, s)
	}
	return out
}
