package engine

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/core/trust"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
)

// Images lists the stored images. A broken record is in the error, beside the others.
func (e *Engine) Images() ([]*store.Image, error) {
	st, err := e.store()
	if err != nil {
		return nil, err
	}
	return st.Images()
}

// lookup finds a stored image by name or ID.
func (e *Engine) lookup(name string) (*store.Store, *store.Image, error) {
	ref, err := parseImage(name)
	if err != nil {
		return nil, nil, err
	}
	st, err := e.store()
	if err != nil {
		return nil, nil, err
	}
	img, err := st.Lookup(ref)
	return st, img, err
}

// parseImage reads an image name as typed here: paths count from this process's directory.
func parseImage(name string) (image.Ref, error) {
	ref, err := image.Parse(name)
	if err != nil || !ref.IsLocal() {
		return ref, err
	}
	wd, err := os.Getwd()
	return ref.Abs(wd), err
}

// RemoveImage removes an image, or when it is named by one of several names, that name alone. It returns what is
// gone: an ID or a name.
func (e *Engine) RemoveImage(name string) (string, error) {
	ref, err := parseImage(name)
	if err != nil {
		return "", err
	}
	st, img, err := e.lookup(name)
	if err != nil {
		return "", err
	}
	if others := slices.DeleteFunc(slices.Clone(img.Names), func(n string) bool { return n == ref.String() }); len(others) > 0 && len(others) < len(img.Names) {
		return ref.String(), st.Untag(ref.String())
	}
	return img.ID, st.Remove(img.ID)
}

// ImageManifest returns the stored OCI manifest, byte for byte.
func (e *Engine) ImageManifest(name string) ([]byte, error) {
	st, img, err := e.lookup(name)
	if err != nil {
		return nil, err
	}
	return st.ReadManifest(img)
}

// VerifyImage digests everything of an image again.
func (e *Engine) VerifyImage(ctx context.Context, name string) (string, error) {
	st, img, err := e.lookup(name)
	if err != nil {
		return "", err
	}
	return img.ID, st.Verify(ctx, img.ID)
}

// ImageGC removes images unused for the grace time, and layers that neither image nor pod refers to.
func (e *Engine) ImageGC(ctx context.Context, grace time.Duration) (*store.Collected, error) {
	st, err := e.store()
	if err != nil {
		return nil, err
	}
	return st.GC(ctx, e.inUse, max(grace, 0))
}

// inUse lists what pods of any state refer to.
func (e *Engine) inUse() (store.InUse, error) {
	pods, err := e.Pods.List()
	if err != nil {
		return store.InUse{}, err
	}
	use := store.InUse{Images: map[string]bool{}, Layers: map[string]bool{}}
	for _, info := range pods {
		for _, app := range info.Pod.Apps {
			use.Images[app.Image.ID] = true
			for _, dir := range app.Rootfs.Layers {
				use.Layers[dir] = true
			}
		}
	}
	return use, nil
}

// Keyring is the trusted keys of this configuration.
func (e *Engine) Keyring() *trust.Keyring {
	return trust.Open(e.Config.SystemConfig, e.Config.LocalConfig)
}

// ProbePlugin asks a plugin whether this host can run what it offers.
func (e *Engine) ProbePlugin(ctx context.Context, entry *plugin.Entry) ([]*pluginv1.Finding, error) {
	p, err := e.launch(ctx, entry, plugin.Options{Kind: kindOf(entry)})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	resp, err := plugin.Call(ctx, p, "probe plugin "+entry.Name, 10*time.Second, func(ctx context.Context) (*pluginv1.ProbeResponse, error) {
		return p.Plugin().Probe(ctx, &pluginv1.ProbeRequest{})
	})
	return resp.GetFindings(), err
}

// kindOf is the privilege that a plugin is started with when nothing but Describe and Probe is asked.
func kindOf(entry *plugin.Entry) plugin.Kind {
	for _, kind := range []plugin.Kind{plugin.KindStage1, plugin.KindNetwork, plugin.KindFetcher, plugin.KindVerifier} {
		if entry.Provides(kind.Service()) {
			return kind
		}
	}
	return plugin.KindVerifier
}
