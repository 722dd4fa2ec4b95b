package image

import (
	"encoding/json"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Media types of docker's own, beside those of the image-spec.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerSchema1  = "application/vnd.docker.distribution.manifest.v1"
)

// MaxDocument bounds a manifest, an index and a config, as the distribution spec advises.
const MaxDocument = 4 << 20

// maxLayers is far above what overlayfs can stack, so that core's own limit speaks first for honest images.
const maxLayers = 1024

// Document is an index or a manifest; the other one is nil.
type Document struct {
	MediaType string
	Index     *v1.Index
	Manifest  *v1.Manifest
}

// Parse reads a document. mediaType is what the descriptor or the Content-Type header says, and may be empty; a
// document that says otherwise itself is refused, and so is one that is both kinds (CVE-2021-41190).
func Parse(mediaType string, b []byte) (*Document, error) {
	var head struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if len(b) > MaxDocument {
		return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: it is longer than %d bytes", MaxDocument)
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: %w", err)
	}
	outer := mediaType
	switch mediaType {
	case "application/json", "text/plain", "application/octet-stream": // a server that does not know better
		mediaType = ""
	}
	switch {
	case mediaType == "":
		mediaType = head.MediaType
	case head.MediaType != "" && head.MediaType != mediaType:
		return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: it says that it is %s, but was announced as %s",
			fault.Quote(head.MediaType), fault.Quote(outer))
	}
	if head.SchemaVersion == 1 || len(head.FSLayers) > 0 || strings.HasPrefix(mediaType, dockerSchema1) {
		return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: it has docker's old schema 1, which names no digest of a config; push the image again with a current tool")
	}
	if len(head.Manifests) > 0 && (len(head.Layers) > 0 || len(head.Config) > 0) {
		return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: it is an index and a manifest at once")
	}
	if mediaType == "" { // OCI lets it out
		mediaType = v1.MediaTypeImageManifest
		if len(head.Manifests) > 0 {
			mediaType = v1.MediaTypeImageIndex
		}
	}
	d := &Document{MediaType: mediaType}
	switch mediaType {
	case v1.MediaTypeImageIndex, DockerList:
		d.Index = new(v1.Index)
		if err := json.Unmarshal(b, d.Index); err != nil {
			return nil, plugin.Errorf(reason.ImageInvalid, "parse index: %w", err)
		}
		if len(head.Config) > 0 || len(head.Layers) > 0 {
			return nil, plugin.Errorf(reason.ImageInvalid, "parse index: it holds a manifest")
		}
	case v1.MediaTypeImageManifest, DockerManifest:
		d.Manifest = new(v1.Manifest)
		if err := json.Unmarshal(b, d.Manifest); err != nil {
			return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: %w", err)
		}
		if len(head.Manifests) > 0 {
			return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: it holds an index")
		}
		if err := checkManifest(d.Manifest); err != nil {
			return nil, err
		}
	default:
		return nil, plugin.Errorf(reason.ImageInvalid, "parse manifest: media type %s is neither an image nor an index", fault.Quote(mediaType))
	}
	return d, nil
}

func checkManifest(m *v1.Manifest) error {
	switch m.Config.MediaType {
	case v1.MediaTypeImageConfig, DockerConfig:
	default:
		kind := m.ArtifactType
		if kind == "" {
			kind = m.Config.MediaType
		}
		return plugin.Errorf(reason.ImageInvalid, "check manifest: it is no container image but an artifact of type %s", fault.Quote(kind))
	}
	if len(m.Layers) > maxLayers {
		return plugin.Errorf(reason.ImageInvalid, "check manifest: %d layers, at most %d can be used", len(m.Layers), maxLayers)
	}
	if err := CheckDescriptor(m.Config); err != nil {
		return err
	}
	if m.Config.Size > MaxDocument {
		return plugin.Errorf(reason.ImageInvalid, "check manifest: the config has %d bytes, at most %d can be used", m.Config.Size, MaxDocument)
	}
	for i, l := range m.Layers {
		if err := CheckDescriptor(l); err != nil {
			return err
		}
		if err := checkLayer(l); err != nil {
			return plugin.Errorf(reason.ImageInvalid, "check manifest: layer %d of %d: %w", i+1, len(m.Layers), err)
		}
	}
	return nil
}

func checkLayer(l v1.Descriptor) error {
	switch l.MediaType {
	case v1.MediaTypeImageLayer, v1.MediaTypeImageLayerGzip, v1.MediaTypeImageLayerZstd,
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
		"application/vnd.docker.image.rootfs.diff.tar.zstd":
		return nil
	}
	if strings.Contains(l.MediaType, ".foreign.") || strings.Contains(l.MediaType, ".nondistributable.") {
		return plugin.Errorf(reason.ImageInvalid, "it is foreign: its bytes lie on another server, which rkt does not contact")
	}
	return plugin.Errorf(reason.ImageInvalid, "media type %s cannot be unpacked", fault.Quote(l.MediaType))
}

// CheckDescriptor refuses a digest that is none and a size that can hold nothing.
func CheckDescriptor(d v1.Descriptor) error {
	if _, _, err := ocilayout.SplitDigest(string(d.Digest)); err != nil {
		return plugin.Errorf(reason.ImageInvalid, "check descriptor: %w", err)
	}
	if d.Size <= 0 {
		return plugin.Errorf(reason.ImageInvalid, "check descriptor: blob %s has the size %d", d.Digest, d.Size)
	}
	return nil
}

// Blobs lists config and layers, each digest once, in the manifest's order.
func Blobs(m *v1.Manifest) []v1.Descriptor {
	seen := map[string]bool{}
	var out []v1.Descriptor
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if !seen[string(d.Digest)] {
			seen[string(d.Digest)] = true
			out = append(out, d)
		}
	}
	return out
}
