package convert

import (
	"fmt"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/proto/ociapp"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

// config is the part of the manifest that OCI has words for.
func config(m *appc.Manifest, p appc.Platform, user, group string, layer fetcher.Descriptor) v1.Image {
	img := v1.Image{
		Platform: v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.Digest(layer.Digest)}},
		Config:   v1.ImageConfig{Labels: clone(annotations(m))},
	}
	img.Author, _ = m.Annotations.Get("authors")
	history := v1.History{CreatedBy: "converted from the appc image " + m.Name, Author: img.Author}
	if s, ok := m.Annotations.Get("created"); ok {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			t = t.UTC()
			img.Created, history.Created = &t, &t
		}
	}
	img.History = []v1.History{history}
	if m.App == nil {
		return img
	}
	c := &img.Config
	c.Entrypoint = m.App.Exec
	c.WorkingDir = m.App.WorkingDirectory
	c.User = user + ":" + group
	for _, e := range m.App.Environment {
		c.Env = append(c.Env, e.Name+"="+e.Value)
	}
	if len(m.App.UserLabels) > 0 {
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		maps.Copy(c.Labels, m.App.UserLabels)
	}
	for _, p := range m.App.Ports {
		if c.ExposedPorts == nil {
			c.ExposedPorts = map[string]struct{}{}
		}
		for i := range max(int(p.Count), 1) {
			c.ExposedPorts[fmt.Sprintf("%d/%s", int(p.Port)+i, p.Protocol)] = struct{}{}
		}
	}
	return img
}

// annotations are the image's own, and OCI's words for the well-known ones.
func annotations(m *appc.Manifest) map[string]string {
	out := m.Annotations.Map()
	for from, to := range map[string]string{
		"created": v1.AnnotationCreated, "authors": v1.AnnotationAuthors, "homepage": v1.AnnotationURL, "documentation": v1.AnnotationDocumentation,
	} {
		if v, ok := m.Annotations.Get(from); ok {
			out[to] = v
		}
	}
	out[v1.AnnotationTitle] = m.Name
	if v, ok := m.Labels.Get("version"); ok {
		out[v1.AnnotationVersion] = v
	}
	return out
}

// app is the part that OCI has no words for.
func app(m *appc.Manifest, id, group string) ociapp.App {
	a := ociapp.App{Schema: 1, Format: "appc", Name: m.Name, Labels: clone(m.Labels.Map()), ID: id, Group: group}
	if m.App == nil {
		return a
	}
	a.SupplementaryGIDs = m.App.SupplementaryGIDs
	a.UserAnnotations = clone(m.App.UserAnnotations)
	a.UserLabels = clone(m.App.UserLabels)
	for _, p := range m.App.Ports {
		a.Ports = append(a.Ports, ociapp.Port{Name: p.Name, Protocol: p.Protocol, Port: p.Port, Count: p.Count, SocketActivated: p.SocketActivated})
	}
	for _, p := range m.App.MountPoints {
		a.MountPoints = append(a.MountPoints, ociapp.MountPoint{Name: p.Name, Path: p.Path, ReadOnly: p.ReadOnly})
	}
	for _, i := range m.App.Isolators {
		a.Isolators = append(a.Isolators, ociapp.Isolator{Name: i.Name, Value: i.Value})
	}
	for _, h := range m.App.EventHandlers {
		a.EventHandlers = append(a.EventHandlers, ociapp.EventHandler{Name: h.Name, Exec: h.Exec})
	}
	return a
}

func manifest(config, layer fetcher.Descriptor, ann map[string]string) v1.Manifest {
	return v1.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   v1.MediaTypeImageManifest,
		Config:      descriptor(config),
		Layers:      []v1.Descriptor{descriptor(layer)},
		Annotations: ann,
	}
}

func descriptor(d fetcher.Descriptor) v1.Descriptor {
	return v1.Descriptor{MediaType: d.MediaType, Digest: digest.Digest(d.Digest), Size: d.Size}
}
