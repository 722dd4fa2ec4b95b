package registry

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/go-digest"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Manifest gets the document that a tag or digest names. Its descriptor is made from the bytes; a digest that was
// asked for, or that the server announced, must be theirs.
func (c *Client) Manifest(ctx context.Context, selector string) (v1.Descriptor, []byte, error) {
	t := tries{tuning: c.tuning}
	for {
		d, b, err := c.manifest(ctx, selector)
		if err == nil {
			return d, b, nil
		}
		if err := t.again(ctx, err); err != nil {
			return v1.Descriptor{}, nil, err
		}
	}
}

func (c *Client) manifest(ctx context.Context, selector string) (v1.Descriptor, []byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.get(ctx, "manifests", selector, http.Header{"Accept": {strings.Join([]string{
		v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, image.DockerList, image.DockerManifest,
	}, ", ")}})
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	tooLong := plugin.Errorf(reason.ImageInvalid, "get manifest %s from %s: it is longer than %d bytes", selector, c.ref.Registry, image.MaxDocument)
	if resp.ContentLength > image.MaxDocument {
		return v1.Descriptor{}, nil, tooLong
	}
	b, err := io.ReadAll(io.LimitReader(c.watch(resp.Body, cancel), image.MaxDocument+1))
	if err != nil {
		return v1.Descriptor{}, nil, c.transportError(ctx, resp.Request.URL, err)
	}
	if len(b) > image.MaxDocument {
		return v1.Descriptor{}, nil, tooLong
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	want := resp.Header.Get("Docker-Content-Digest")
	if strings.Contains(selector, ":") {
		want = selector
	}
	got := digestLike(want, b)
	if want != "" && got != want {
		return v1.Descriptor{}, nil, plugin.Errorf(reason.DigestMismatch, "get manifest %s from %s: the bytes have the digest %s, promised was %s",
			selector, c.ref.Registry, got, fault.Quote(want))
	}
	return v1.Descriptor{MediaType: mediaType, Digest: digest.Digest(got), Size: int64(len(b))}, b, nil
}

// ByDescriptor is an image.Get: the document with this digest and size.
func (c *Client) ByDescriptor(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	got, b, err := c.Manifest(ctx, string(d.Digest))
	if err != nil {
		return nil, err
	}
	if got.Size != d.Size {
		return nil, plugin.Errorf(reason.DigestMismatch, "get manifest %s from %s: it has %d bytes, the index says %d", d.Digest, c.ref.Registry, got.Size, d.Size)
	}
	return b, nil
}

// digestLike digests b with the algorithm of another digest; sha256 when that is none.
func digestLike(other string, b []byte) string {
	if alg, _, err := ocilayout.SplitDigest(other); err == nil && alg == "sha512" {
		s := sha512.Sum512(b)
		return "sha512:" + hex.EncodeToString(s[:])
	}
	s := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(s[:])
}
