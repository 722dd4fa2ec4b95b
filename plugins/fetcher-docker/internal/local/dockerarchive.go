package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/reference"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/tarfile"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// maxLayers bounds the layers of a saved image.
const maxLayers = 1024

// saved is one item of manifest.json in the archive of `docker save`.
type saved struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// OpenDockerArchive opens an image of a `docker save` archive. An OCI manifest is made for it: the config stays as
// it is, and so do the layers, whose digests are the config's diffIDs when they are plain tars.
func OpenDockerArchive(ctx context.Context, file string, source *os.File, tag string, want image.Platform) (_ *Image, err error) {
	a, err := openTar(ctx, file, source)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	b, err := a.document(ctx, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := a.tar.Lookup("index.json"); err == nil {
			return nil, plugin.Errorf(reason.ImageInvalid, "open %s: it is an OCI archive; name it oci-archive:%s", file, file)
		}
		return nil, plugin.Errorf(reason.ImageInvalid, "open %s: it is no archive of `docker save`: it has no manifest.json", file)
	} else if err != nil {
		return nil, err
	}
	var list []saved
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest.json: %w", err)
	}
	item, err := pick(list, file, tag)
	if err != nil {
		return nil, err
	}
	img := &Image{files: a, where: map[string]string{}, bytes: map[string][]byte{}}
	config, diffIDs, err := img.readConfig(ctx, a, item)
	if err != nil {
		return nil, err
	}
	if err := image.CheckConfig(config, want); err != nil {
		return nil, err
	}
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: describe(v1.MediaTypeImageConfig, config)}
	m.SchemaVersion = 2
	img.bytes[string(m.Config.Digest)] = config
	for i, name := range item.Layers {
		d, at, err := a.layer(ctx, name, diffIDs[i])
		if err != nil {
			return nil, err
		}
		img.where[string(d.Digest)] = at
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	img.Resolved = &image.Resolved{Descriptor: describe(m.MediaType, raw), Bytes: raw, Manifest: &m}
	return img, nil
}

func describe(mediaType string, b []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

// pick finds the image that tag names: by its whole name with docker's defaults or without them, by its tag alone
// when only one has it, or by its place ("@0").
func pick(list []saved, file, tag string) (saved, error) {
	if len(list) == 0 {
		return saved{}, plugin.Errorf(reason.ImageNotFound, "open %s: it holds no image", file)
	}
	var names []string
	var exact, loose []int
	for i, s := range list {
		for _, n := range s.RepoTags {
			names = append(names, fault.Quote(n))
			switch {
			case n == tag || canonical(n) == canonical(tag):
				exact = append(exact, i)
			case strings.HasSuffix(n, ":"+tag):
				loose = append(loose, i)
			}
		}
	}
	if len(exact) == 0 {
		exact = loose
	}
	exact = slices.Compact(exact)
	if n, ok := strings.CutPrefix(tag, "@"); ok {
		if i, err := strconv.Atoi(n); err == nil && i >= 0 && i < len(list) {
			return list[i], nil
		}
	}
	hint := "one of " + strings.Join(names[:min(len(names), 20)], ", ")
	if len(names) == 0 {
		hint = "by its place, from @0 to @" + strconv.Itoa(len(list)-1)
	}
	switch {
	case tag == "" && len(list) == 1:
		return list[0], nil
	case tag == "":
		return saved{}, plugin.Errorf(reason.ReferenceInvalid, "open %s: it holds %d images; choose with :TAG, %s", file, len(list), hint)
	case len(exact) == 1:
		return list[exact[0]], nil
	case len(exact) > 1:
		return saved{}, plugin.Errorf(reason.ReferenceInvalid, "open %s: %s names several images; choose %s", file, fault.Quote(tag), hint)
	}
	return saved{}, plugin.Errorf(reason.ImageNotFound, "open %s: no image is called %s; choose %s", file, fault.Quote(tag), hint)
}

// canonical fills in docker's defaults; what is no name stays as it is.
func canonical(name string) string {
	if r, err := reference.ParseDocker(name); err == nil {
		return r.String()
	}
	return name
}

// readConfig returns the config and one diffID for each layer.
func (i *Image) readConfig(ctx context.Context, a *archive, item saved) ([]byte, []digest.Digest, error) {
	config, err := a.document(ctx, item.Config)
	if err != nil {
		return nil, nil, err
	}
	// Its file is named by its digest: a damaged one can be told.
	if hexa := strings.TrimSuffix(path.Base(item.Config), ".json"); len(hexa) == 2*sha256.Size {
		if got := digest.FromBytes(config).Encoded(); got != hexa {
			return nil, nil, plugin.Errorf(reason.DigestMismatch, "read archive: config %s has the digest %s", fault.Quote(item.Config), got)
		}
	}
	var c struct {
		RootFS v1.RootFS `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, nil, plugin.Errorf(reason.ImageInvalid, "parse config: %w", err)
	}
	if len(item.Layers) != len(c.RootFS.DiffIDs) || len(item.Layers) > maxLayers {
		return nil, nil, plugin.Errorf(reason.ImageInvalid, "read archive: manifest.json names %d layers, the config %d; at most %d can be used",
			len(item.Layers), len(c.RootFS.DiffIDs), maxLayers)
	}
	for _, d := range c.RootFS.DiffIDs {
		if _, _, err := ocilayout.SplitDigest(string(d)); err != nil {
			return nil, nil, plugin.Errorf(reason.ImageInvalid, "parse config: %w", err)
		}
	}
	return config, c.RootFS.DiffIDs, nil
}

// layer describes a layer and says in which file it lies. Several names may lead to one file.
func (a *archive) layer(ctx context.Context, name string, diffID digest.Digest) (v1.Descriptor, string, error) {
	f, err := a.tar.Lookup(name)
	if err != nil {
		return v1.Descriptor{}, "", err
	}
	d := v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: diffID, Size: f.Size}
	switch {
	case f.Size == 0:
		return d, "", plugin.Errorf(reason.ImageInvalid, "read archive: layer %s is empty", fault.Quote(name))
	case strings.HasPrefix(f.Magic, tarfile.MagicGzip):
		d.MediaType = v1.MediaTypeImageLayerGzip
	case strings.HasPrefix(f.Magic, tarfile.MagicZstd):
		d.MediaType = v1.MediaTypeImageLayerZstd
	default:
		return d, f.Name, nil
	}
	// A compressed layer (docker with containerd's store writes them) has a digest of its own: the one that it is
	// named by, else it must be read for it.
	if dgst := "sha256:" + path.Base(f.Name); path.Dir(f.Name) == "blobs/sha256" {
		if _, _, err := ocilayout.SplitDigest(dgst); err == nil {
			d.Digest = digest.Digest(dgst)
			return d, f.Name, nil
		}
	}
	h := sha256.New()
	err = a.tar.Each(ctx, []tarfile.File{f}, func(_ tarfile.File, r io.Reader) error {
		_, err := io.Copy(h, r)
		return err
	})
	d.Digest = digest.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
	return d, f.Name, err
}
