package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/internal/linux"
)

// layout reads an OCI image layout that a stranger has written, and may be writing still: everything is opened
// below the directory without symlinks, must be a regular file, and is digested in the read that uses it.
type layout struct{ dir *os.File }

func openLayout(path string) (*layout, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|oDirectory|oNoFollow, 0)
	if err != nil {
		return nil, fmt.Errorf("open layout: %w", err)
	}
	return &layout{d}, nil
}

func (l *layout) close() { l.dir.Close() }

// file reads a small file of the layout itself.
func (l *layout) file(name string) ([]byte, error) {
	f, fi, err := linux.OpenBeneath(l.dir, name)
	if err != nil {
		return nil, fmt.Errorf("open %s of the layout: %w", name, err)
	}
	defer f.Close()
	if fi.Size() > maxDocument {
		return nil, fmt.Errorf("%s of the layout has %d bytes, %d is the limit", name, fi.Size(), maxDocument)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("read %s of the layout: %w", name, err)
	}
	return b, nil
}

// open opens a blob whose size is right. The digest is the reader's to check.
func (l *layout) open(d ocispec.Descriptor) (*os.File, error) {
	if err := checkDescriptor(d); err != nil {
		return nil, invalid("%w", err)
	}
	f, fi, err := linux.OpenBeneath(l.dir, "blobs/"+string(d.Digest.Algorithm())+"/"+d.Digest.Encoded())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not in the layout", ErrBlobMissing, d.Digest)
	}
	if err != nil {
		return nil, invalid("blob %s: %w", d.Digest, err)
	}
	if fi.Size() != d.Size {
		f.Close()
		return nil, invalid("blob %s has %d bytes, its descriptor says %d", d.Digest, fi.Size(), d.Size)
	}
	return f, nil
}

// document reads a blob that is a JSON document.
func (l *layout) document(d ocispec.Descriptor) ([]byte, error) {
	if d.Size > maxDocument {
		return nil, invalid("blob %s has %d bytes, %d is the limit for a document", d.Digest, d.Size, maxDocument)
	}
	f, err := l.open(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := newVerifier(f, d)
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// verifier reads a blob and ends with an error unless it had the descriptor's size and digest.
type verifier struct {
	r    io.Reader
	d    ocispec.Descriptor
	h    digest.Verifier
	left int64
	done func(n int64) // progress, may be nil
}

func newVerifier(r io.Reader, d ocispec.Descriptor) *verifier {
	return &verifier{r: r, d: d, h: d.Digest.Verifier(), left: d.Size}
}

func (v *verifier) Read(p []byte) (int, error) {
	if int64(len(p)) > v.left+1 {
		p = p[:v.left+1] // one more than there may be, to notice it
	}
	n, err := v.r.Read(p)
	if v.left -= int64(n); v.left < 0 {
		return 0, invalid("blob %s has more than the %d bytes of its descriptor", v.d.Digest, v.d.Size)
	}
	v.h.Write(p[:n])
	if n > 0 && v.done != nil {
		v.done(v.d.Size - v.left)
	}
	if err == io.EOF {
		if v.left > 0 {
			return n, invalid("blob %s ends %d bytes early", v.d.Digest, v.left)
		}
		if !v.h.Verified() {
			return n, invalid("blob %s has another digest than its name", v.d.Digest)
		}
	}
	return n, err
}

// platform of an image asked for. Empty fields take everything.
type platform = ocispec.Platform

// found is what the walk ends at.
type found struct {
	manifest ocispec.Descriptor
	raw      []byte
	parsed   *ocispec.Manifest
}

// walk goes from the descriptor that the fetcher named to one manifest.
func (l *layout) walk(start ocispec.Descriptor, p *platform) (*found, error) {
	var marker ocispec.ImageLayout
	b, err := l.file(ocispec.ImageLayoutFile)
	if err == nil {
		_, err = decodeDocument(b, &marker)
	}
	if err == nil && !strings.HasPrefix(marker.Version, "1.") {
		err = fmt.Errorf("it has version %s", printable(marker.Version))
	}
	if err != nil {
		return nil, invalid("%s: %w", ocispec.ImageLayoutFile, err)
	}
	if b, err = l.file(ocispec.ImageIndexFile); err != nil {
		return nil, invalid("%w", err)
	}
	index, err := parseIndex(b, "")
	if err != nil {
		return nil, invalid("%s: %w", ocispec.ImageIndexFile, err)
	}
	for _, m := range index.Manifests {
		if m.Digest == start.Digest {
			if m.Size != start.Size || m.MediaType != start.MediaType {
				return nil, invalid("%s: size or media type of %s differ from what the fetcher says", ocispec.ImageIndexFile, m.Digest)
			}
			return l.descend(start, p, 0)
		}
	}
	return nil, invalid("%s does not hold the image %s", ocispec.ImageIndexFile, printable(string(start.Digest)))
}

func (l *layout) descend(d ocispec.Descriptor, p *platform, depth int) (*found, error) {
	if err := checkDescriptor(d); err != nil {
		return nil, invalid("%w", err)
	}
	switch {
	case isManifest(d.MediaType):
		b, err := l.document(d)
		if err != nil {
			return nil, err
		}
		m, err := parseManifest(b, d.MediaType)
		if err != nil {
			return nil, invalid("manifest %s: %w", d.Digest, err)
		}
		return &found{d, b, m}, nil
	case strings.HasPrefix(d.MediaType, dockerSchema1):
		return nil, invalid("%s is of Docker's schema 1, which has no digests to trust: push the image again with a tool of this decade", d.Digest)
	case !isIndex(d.MediaType):
		return nil, invalid("%s is of type %s, which is neither a manifest nor an index", d.Digest, printable(d.MediaType))
	case depth == maxDepth:
		return nil, invalid("indexes are nested more than %d deep", maxDepth)
	}
	b, err := l.document(d)
	if err != nil {
		return nil, err
	}
	index, err := parseIndex(b, d.MediaType)
	if err != nil {
		return nil, invalid("index %s: %w", d.Digest, err)
	}
	next, err := choose(index, p)
	if err != nil {
		return nil, invalid("index %s: %w", d.Digest, err)
	}
	return l.descend(next, p, depth+1)
}

// choose picks the first of the best: the variant asked for, then one without, then any.
func choose(x *ocispec.Index, p *platform) (ocispec.Descriptor, error) {
	best, bestScore := -1, 0
	var have []string
	for i, m := range x.Manifests {
		if !isManifest(m.MediaType) && !isIndex(m.MediaType) || m.ArtifactType != "" {
			continue
		}
		score := 1
		if m.Platform != nil {
			have = append(have, platformString(*m.Platform))
			score = matchPlatform(*m.Platform, p)
		}
		if score > bestScore {
			best, bestScore = i, score
		}
	}
	if best < 0 {
		return ocispec.Descriptor{}, fmt.Errorf("it has no image for %s, only for %s", platformString(*p), strings.Join(have, ", "))
	}
	return x.Manifests[best], nil
}

// matchPlatform is 0 when an image for have cannot be meant by want.
func matchPlatform(have platform, want *platform) int {
	differs := func(h, w string) bool { return h != "" && w != "" && h != w }
	if want == nil || (want.OS == "" && want.Architecture == "") {
		return 1
	}
	if differs(have.OS, want.OS) || differs(have.Architecture, want.Architecture) {
		return 0
	}
	hv, wv := variant(have), variant(*want)
	switch {
	case hv == wv:
		return 4
	case hv == "":
		return 3
	case want.Architecture == "arm" && (wv == "" || hv < wv): // v6 runs on v7
		return 2
	case wv == "":
		return 2
	}
	return 0
}

// variant without the one that everybody means.
func variant(p platform) string {
	if p.Architecture == "arm64" && p.Variant == "v8" || p.Architecture == "amd64" && p.Variant == "v1" {
		return ""
	}
	return p.Variant
}

func platformString(p platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	if s = image.Printable(s); len(s) > 60 {
		s = s[:60]
	}
	return s
}

// printable quotes text of an image for an error.
func printable(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return `"` + image.Printable(s) + `"`
}
