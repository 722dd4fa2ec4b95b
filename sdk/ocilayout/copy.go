package ocilayout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// ErrInvalid is wrapped by errors about a directory that is no layout of one image.
var ErrInvalid = errors.New("no OCI image layout with one image")

// maxIndex bounds an index.json that is read.
const maxIndex = 4 << 20

// CopyFrom copies every blob of another layout, of one image, and returns that image's descriptor, for Done. What is here
// already stays; each blob is held against the digest in its name. progress makes the Progress of an item; nil: none.
// Errors about a file of src are *fs.PathError with a path below src, or wrap ErrInvalid or ErrMismatch.
func (l *Layout) CopyFrom(ctx context.Context, src *os.Root, progress func(digest string) Progress) (Descriptor, error) {
	image, err := readIndex(src)
	if err != nil {
		return Descriptor{}, fmt.Errorf("read index.json: %w", err)
	}
	for _, alg := range []string{"sha256", "sha512"} {
		entries, err := fs.ReadDir(src.FS(), "blobs/"+alg)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Descriptor{}, err
		}
		for _, e := range entries {
			if err := l.copyBlob(ctx, src, alg, e.Name(), progress); err != nil {
				return Descriptor{}, err
			}
		}
	}
	return image, nil
}

func (l *Layout) copyBlob(ctx context.Context, src *os.Root, alg, hexa string, progress func(string) Progress) error {
	want := Descriptor{Digest: alg + ":" + hexa}
	if _, _, err := SplitDigest(want.Digest); err != nil {
		return nil // a file that no image can name
	}
	f, err := src.Open(path.Join("blobs", alg, hexa))
	if err != nil {
		return err
	}
	defer f.Close()
	var p Progress
	if progress != nil {
		p = progress(want.Digest)
	}
	_, err = l.File(ctx, want, f, p)
	return err
}

func readIndex(src *os.Root) (Descriptor, error) {
	f, err := src.Open("index.json")
	if err != nil {
		return Descriptor{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err != nil {
		return Descriptor{}, err
	}
	var x index
	if err := json.Unmarshal(b, &x); err != nil {
		return Descriptor{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(x.Manifests) != 1 {
		return Descriptor{}, fmt.Errorf("%w: it names %d", ErrInvalid, len(x.Manifests))
	}
	if _, _, err := SplitDigest(x.Manifests[0].Digest); err != nil {
		return Descriptor{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return x.Manifests[0], nil
}
