package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Image is one image of a file or directory.
type Image struct {
	*image.Resolved
	files files
	// where says in which file of the archive a blob lies, when that is not its place in a layout.
	where map[string]string
	// bytes are blobs that are in memory anyway.
	bytes map[string][]byte
}

// files is a directory or an archive.
type files interface {
	// document returns a small file; the error wraps fs.ErrNotExist.
	document(ctx context.Context, name string) ([]byte, error)
	// deliver copies files into the layout, as the given blobs.
	deliver(ctx context.Context, want map[string]ocilayout.Descriptor, l *ocilayout.Layout, report Report) error
	close() error
}

// Report makes the progress function of one blob.
type Report func(digest string) func(done, total int64)

// Close closes the files.
func (i *Image) Close() error { return i.files.close() }

// Deliver copies blobs of the image into the layout.
func (i *Image) Deliver(ctx context.Context, want []ocilayout.Descriptor, l *ocilayout.Layout, report Report) error {
	byFile := map[string]ocilayout.Descriptor{}
	for _, d := range want {
		if b, ok := i.bytes[d.Digest]; ok {
			if _, err := l.Blob(ctx, d, strings.NewReader(string(b)), report(d.Digest)); err != nil {
				return err
			}
			continue
		}
		if ok, err := l.Has(ctx, d); err != nil {
			return err
		} else if ok {
			continue
		}
		name, ok := i.where[d.Digest]
		if !ok {
			name = blobPath(d.Digest)
		}
		byFile[name] = d
	}
	if len(byFile) == 0 {
		return nil
	}
	return i.files.deliver(ctx, byFile, l, report)
}

// blobPath is a digest's place in a layout. The digest has been checked.
func blobPath(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// OpenLayout opens an image of an OCI layout directory. tag may be empty when there is only one.
// source is the directory as the caller opened it, or nil.
func OpenLayout(ctx context.Context, path string, source *os.File, tag string, want image.Platform) (*Image, error) {
	at := path
	if source != nil {
		at = fmt.Sprintf("/proc/self/fd/%d", source.Fd())
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		if fi, serr := os.Stat(at); serr == nil && !fi.IsDir() {
			return nil, plugin.Errorf(reason.ImageNotFound, "open %s: it is no directory; an archive is named oci-archive:%s or docker-archive:%s", path, path, path)
		}
		return nil, unreadable(path, err)
	}
	return openLayout(ctx, directory{root}, path, tag, want)
}

func openLayout(ctx context.Context, f files, path, tag string, want image.Platform) (_ *Image, err error) {
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if _, err := f.document(ctx, "oci-layout"); errors.Is(err, fs.ErrNotExist) {
		return nil, plugin.Errorf(reason.ImageInvalid, "open %s: it is no OCI layout: it has no file oci-layout", path)
	} else if err != nil {
		return nil, err
	}
	b, err := f.document(ctx, "index.json")
	if err != nil {
		return nil, err
	}
	doc, err := image.Parse(v1.MediaTypeImageIndex, b)
	if err != nil {
		return nil, err
	}
	d, err := choose(doc.Index, path, tag, want)
	if err != nil {
		return nil, err
	}
	get := func(ctx context.Context, d v1.Descriptor) ([]byte, error) {
		b, err := f.document(ctx, blobPath(string(d.Digest)))
		if err != nil {
			return nil, err
		}
		if got := d.Digest.Algorithm().FromBytes(b); got != d.Digest || int64(len(b)) != d.Size {
			return nil, plugin.Errorf(reason.DigestMismatch, "read %s: blob %s has the digest %s and %d bytes, its descriptor says %d", path, d.Digest, got, len(b), d.Size)
		}
		return b, nil
	}
	if b, err = get(ctx, d); err != nil {
		return nil, err
	}
	r, err := image.Resolve(ctx, d, b, want, get)
	if err != nil {
		return nil, err
	}
	return &Image{Resolved: r, files: f}, nil
}

// choose finds the entry that tag names, by its reference name or digest.
func choose(idx *v1.Index, path, tag string, want image.Platform) (v1.Descriptor, error) {
	var hits []v1.Descriptor
	var tags []string
	for _, d := range idx.Manifests {
		name := d.Annotations[v1.AnnotationRefName]
		if name != "" {
			tags = append(tags, fault.Quote(name))
		}
		if tag == "" || tag == name || tag == d.Annotations["io.containerd.image.name"] || strings.TrimPrefix(tag, "@") == string(d.Digest) {
			hits = append(hits, d)
		}
	}
	slices.Sort(tags)
	list := strings.Join(tags[:min(len(tags), 20)], ", ")
	hits = slices.CompactFunc(hits, func(a, b v1.Descriptor) bool { return a.Digest == b.Digest })
	switch {
	case len(hits) == 1:
		return hits[0], image.CheckDescriptor(hits[0])
	case len(hits) > 1 && (tag != "" || len(tags) == 0):
		// The same name for several platforms, or no names at all: then index.json is the image's index.
		return image.Choose(&v1.Index{Manifests: hits}, want)
	case len(hits) > 1:
		return v1.Descriptor{}, plugin.Errorf(reason.ReferenceInvalid, "open %s: it holds %d images; choose one with :TAG, one of %s", path, len(hits), list)
	case len(idx.Manifests) == 0:
		return v1.Descriptor{}, plugin.Errorf(reason.ImageNotFound, "open %s: it holds no image", path)
	case list == "":
		return v1.Descriptor{}, plugin.Errorf(reason.ImageNotFound, "open %s: no image has the tag %s; it has no tags at all", path, fault.Quote(tag))
	}
	return v1.Descriptor{}, plugin.Errorf(reason.ImageNotFound, "open %s: no image has the tag %s; there is %s", path, fault.Quote(tag), list)
}

// directory is a layout directory. os.Root keeps links within it.
type directory struct{ root *os.Root }

func (d directory) close() error { return d.root.Close() }

func (d directory) open(name string) (*os.File, error) {
	// A pipe or a device in the place of a blob must not block or act.
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, plugin.Errorf(reason.ImageInvalid, "read %s: there is no %s: %w", d.root.Name(), name, fs.ErrNotExist)
		}
		return nil, unreadable(d.root.Name()+"/"+name, err)
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, plugin.Errorf(reason.ImageInvalid, "read %s: %s is no regular file", d.root.Name(), name)
	}
	return f, nil
}

func (d directory) document(_ context.Context, name string) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, image.MaxDocument+1))
	if err == nil && len(b) > image.MaxDocument {
		return nil, plugin.Errorf(reason.ImageInvalid, "read %s: %s is longer than %d bytes", d.root.Name(), name, image.MaxDocument)
	}
	return b, err
}

func (d directory) deliver(ctx context.Context, want map[string]ocilayout.Descriptor, l *ocilayout.Layout, report Report) error {
	for name, blob := range want {
		f, err := d.open(name)
		if err != nil {
			return err
		}
		_, err = l.File(ctx, blob, f, report(blob.Digest))
		f.Close()
		if err != nil {
			return short(err)
		}
	}
	return nil
}

// short gives a file that ends early its reason: no other try will find more of it.
func short(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return plugin.Errorf(reason.DigestMismatch, "%w", err)
	}
	return err
}
