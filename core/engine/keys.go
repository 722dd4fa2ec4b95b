package engine

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/core/fetch"
	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/core/plugin"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// keyScheme is the reference by which a fetcher looks up public keys instead of an image.
const keyScheme = "aci-keys"

// maxKey bounds one public key file.
const maxKey = 4 << 20

// DiscoverKeys fetches the public keys that a prefix's server names (appc discovery, ac-discovery-pubkeys). Core
// speaks no HTTP: a fetcher delivers them as blobs. Nothing is trusted yet.
func (e *Engine) DiscoverKeys(ctx context.Context, prefix string) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, e.Config.FetchLimit)
	defer cancel()
	entry, err := e.Plugins().Fetcher(keyScheme)
	if err != nil {
		return nil, err
	}
	st, err := e.store()
	if err != nil {
		return nil, err
	}
	staging, err := st.NewStaging("")
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
	var done *fetcherv1.FetchDone
	err = e.guarded(ctx, staging, entry, plugin.Options{Kind: plugin.KindFetcher, Writable: []string{staging.LayoutDir()}},
		func(ctx context.Context, p *plugin.Process) (err error) {
			done, err = fetch.Image(ctx, p, fetch.Request{
				Reference: keyScheme + "://" + prefix, LayoutDir: staging.LayoutDir(),
				Access: &fetcherv1.Access{AllowHttp: e.Config.Insecure.PubKey, InsecureTls: e.Config.Insecure.TLS},
			})
			return err
		})
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for _, d := range append([]*fetcherv1.Descriptor{done.GetImage()}, done.GetSignatures()...) {
		b, err := readKey(staging.LayoutDir(), d.GetDigest())
		if err != nil {
			return nil, err
		}
		keys = append(keys, b)
	}
	return keys, nil
}

// readKey reads a blob that an untrusted process wrote: below the directory, bounded, and digested.
func readKey(layout, want string) ([]byte, error) {
	d := digest.Digest(want)
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	dir, err := linux.OpenDir(layout)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	defer dir.Close()
	f, _, err := linux.OpenBeneath(dir, filepath.Join("blobs", string(d.Algorithm()), d.Encoded()))
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return nil, fmt.Errorf("read public key %s: %w", want, err)
	}
	if len(b) > maxKey {
		return nil, fmt.Errorf("read public key %s: it is larger than %d bytes", want, maxKey)
	}
	if got := d.Algorithm().FromBytes(b); got != d {
		return nil, fmt.Errorf("read public key: its digest is %s, not %s", got, want)
	}
	return b, nil
}

func descriptor(d *fetcherv1.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.GetMediaType(), Digest: digest.Digest(d.GetDigest()), Size: d.GetSize(), Annotations: d.GetAnnotations()}
}
