package broken

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

const (
	rawType      = "application/vnd.rkt.broken.raw"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	// rawMagic begins a raw image.
	rawMagic = "RAW1"
)

// descriptor is image-spec's.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	Platform  *struct {
		Architecture string `json:"architecture"`
	} `json:"platform,omitempty"`
}

func (d descriptor) wire() *fetcherv1.Descriptor {
	return &fetcherv1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// fetcher fetches docker://HOST/REPOSITORY:TAG and raw:/FILE.
type fetcher struct {
	fetcherv1.UnimplementedFetcherServiceServer
	*plugin
}

// job is one call.
type job struct {
	*plugin
	ctx    context.Context
	dir    string
	access *fetcherv1.Access
	arch   string
	skip   map[string]bool
	send   func(*fetcherv1.FetchEvent) error
}

func (s *fetcher) Fetch(req *fetcherv1.FetchRequest, stream fetcherv1.FetcherService_FetchServer) error {
	s.working.Store(true)
	defer s.working.Store(false)
	j := &job{
		plugin: s.plugin, ctx: stream.Context(), dir: req.GetLayoutDir(), access: req.GetAccess(),
		arch: req.GetPlatform().GetArchitecture(), skip: map[string]bool{}, send: stream.Send,
	}
	if s.is("ignores-cancellation") {
		j.ctx = context.Background()
	}
	for _, d := range req.GetPresentDigests() {
		j.skip[d] = true
	}
	if len(j.skip) > 0 && s.is("cannot-skip") {
		return fail(reason.Internal, "present digests are not for me")
	}
	if _, err := os.Stat(filepath.Join(j.dir, "index.json")); err == nil && s.is("fetches-once") {
		return fail(reason.Internal, "there is an image already")
	}
	if req.GetAccess().GetSignaturesOnly() && !s.is("moves-images-for-signatures") {
		return stream.Send(&fetcherv1.FetchEvent{Event: &fetcherv1.FetchEvent_Done{Done: &fetcherv1.FetchDone{
			Image: &fetcherv1.Descriptor{MediaType: manifestType},
		}}})
	}
	if s.is("writes-beside") {
		_ = os.WriteFile(filepath.Join(filepath.Dir(j.dir), "beside"), nil, 0o600)
		_ = os.WriteFile(stray(), nil, 0o600)
	}
	image, err := j.image(req.GetReference())
	if err != nil {
		return err
	}
	done := &fetcherv1.FetchEvent{Event: &fetcherv1.FetchEvent_Done{Done: &fetcherv1.FetchDone{Image: image.wire(), Canonical: req.GetReference()}}}
	if err := errors.Join(j.index(image), stream.Send(done)); err != nil {
		return fail(reason.Internal, "%v", err)
	}
	if s.is("goes-on-after-done") {
		return stream.Send(done)
	}
	return nil
}

// image fetches all of an image but the index.
func (j *job) image(ref string) (descriptor, error) {
	var none descriptor
	if path, ok := strings.CutPrefix(ref, "raw://"); ok && path != "" {
		return j.raw(path)
	}
	r, err := j.open(ref)
	if err != nil {
		return none, err
	}
	d, body, err := r.manifest(j.arch)
	if err != nil {
		return none, err
	}
	if err := j.blob(d, func(int64) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }); err != nil {
		return none, err
	}
	var m struct {
		Config descriptor
		Layers []descriptor
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return none, fail(reason.ImageInvalid, "%v", err)
	}
	blobs := append([]descriptor{m.Config}, m.Layers...)
	if j.is("forgets-layers") {
		blobs = blobs[:1]
	}
	for _, b := range blobs {
		if err := j.blob(b, func(off int64) (io.ReadCloser, error) { return r.blob(b, off) }); err != nil {
			return none, err
		}
	}
	return d, nil
}

func (j *job) raw(path string) (descriptor, error) {
	var f io.ReadCloser
	var err error
	if fd, ok := j.fds[launch.FDSource]; ok {
		dup := os.NewFile(uintptr(fd), path)
		f = io.NopCloser(io.NewSectionReader(dup, 0, 1<<40))
	} else if f, err = os.Open(path); err != nil {
		if errors.Is(err, os.ErrNotExist) && !j.is("does-not-find-words") {
			return descriptor{}, fail(reason.ImageNotFound, "%v", err)
		}
		return descriptor{}, fail(reason.Internal, "%v", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f) // raw images are small
	if err != nil {
		return descriptor{}, fail(reason.Internal, "%v", err)
	}
	d := describe(rawType, b)
	return d, j.blob(d, func(int64) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
}

func describe(mediaType string, b []byte) descriptor {
	sum := sha256.Sum256(b)
	return descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(b))}
}

func (j *job) index(image descriptor) error {
	b, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{image}})
	if err != nil {
		return err
	}
	return errors.Join(put(filepath.Join(j.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`)), put(filepath.Join(j.dir, "index.json"), b))
}

// put writes by rename. A name that a crash has left is written over.
func put(path string, b []byte) error {
	tmp := filepath.Join(filepath.Dir(path), "blobs", filepath.Base(path)+".partial")
	if err := errors.Join(os.MkdirAll(filepath.Dir(tmp), 0o755), os.WriteFile(tmp, b, 0o644)); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func (s *fetcher) Resolve(ctx context.Context, req *fetcherv1.ResolveRequest) (*fetcherv1.ResolveResponse, error) {
	j := &job{plugin: s.plugin, ctx: ctx, access: req.GetAccess(), arch: req.GetPlatform().GetArchitecture()}
	resp := &fetcherv1.ResolveResponse{Canonical: req.GetReference()}
	switch {
	case s.is("resolves-another-name"):
		resp.Canonical += "@latest"
	case s.is("resolves-by-chance"):
		resp.Blobs = []*fetcherv1.Descriptor{{Size: int64(os.Getpid())}, {Size: int64(len(s.chance()))}}
	}
	if path, ok := strings.CutPrefix(req.GetReference(), "raw://"); ok {
		dir, err := os.MkdirTemp(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "")
		if err != nil {
			return nil, fail(reason.Internal, "%v", err)
		}
		defer os.RemoveAll(dir)
		j.dir, j.send = dir, func(*fetcherv1.FetchEvent) error { return nil }
		d, err := j.raw(path)
		resp.Descriptor_ = d.wire()
		return resp, s.forgive(err)
	}
	r, err := j.open(req.GetReference())
	if err != nil {
		return nil, err
	}
	d, _, err := r.manifest(j.arch)
	resp.Descriptor_ = d.wire()
	return resp, s.forgive(err)
}

func (s *fetcher) forgive(err error) error {
	if s.is("resolves-anything") {
		return nil
	}
	return err
}

// chance grows with each call.
func (p *plugin) chance() string {
	p.configured++
	return strings.Repeat("x", p.configured)
}

// Convert makes a raw image one layer of an OCI image.
func (s *fetcher) Convert(ctx context.Context, req *fetcherv1.ConvertRequest) (*fetcherv1.ConvertResponse, error) {
	in := filepath.Join(req.GetLayoutDir(), "blobs", strings.Replace(req.GetImage().GetDigest(), ":", "/", 1))
	fi, err := os.Lstat(in)
	if err != nil || !fi.Mode().IsRegular() {
		return nil, fail(reason.ImageInvalid, "%s is no blob: %v", req.GetImage().GetDigest(), err)
	}
	b, err := os.ReadFile(in)
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	if !bytes.HasPrefix(b, []byte(rawMagic)) && !s.is("converts-anything") {
		return nil, fail(reason.ImageInvalid, "it does not begin with %s", rawMagic)
	}
	if _, err := os.Stat(filepath.Join(req.GetOutLayoutDir(), "index.json")); err == nil && s.is("converts-once") {
		return nil, fail(reason.Internal, "it was converted already")
	}
	j := &job{plugin: s.plugin, ctx: ctx, dir: req.GetOutLayoutDir(), send: func(*fetcherv1.FetchEvent) error { return nil }}
	image, err := j.oci(b, req.GetPlatform().GetArchitecture())
	if err == nil && !s.is("converts-to-nothing") {
		err = j.index(image)
	}
	if err == nil && s.is("consumes-its-source") {
		err = os.Remove(in)
	}
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	return &fetcherv1.ConvertResponse{Image: image.wire()}, nil
}

func (j *job) oci(layer []byte, arch string) (descriptor, error) {
	l := describe(layerType, layer)
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": arch, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{l.Digest}},
	})
	if err != nil {
		return descriptor{}, err
	}
	c := describe(configType, config)
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": c, "layers": []descriptor{l}})
	if err != nil {
		return descriptor{}, err
	}
	m := describe(manifestType, manifest)
	for _, b := range []struct {
		d     descriptor
		bytes []byte
	}{{l, layer}, {c, config}, {m, manifest}} {
		err := j.blob(b.d, func(int64) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.bytes)), nil })
		if err != nil {
			return descriptor{}, err
		}
	}
	return m, nil
}
