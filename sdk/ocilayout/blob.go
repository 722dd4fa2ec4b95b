package ocilayout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Progress hears how many bytes of a blob are there, and how many there will be (0: unknown).
type Progress func(done, total int64)

// Blob copies all of r into the blob want (see Create about an empty Digest or Size) and returns its full
// descriptor. A blob that is there already is not read again. progress may be nil.
func (l *Layout) Blob(ctx context.Context, want Descriptor, r io.Reader, progress Progress) (Descriptor, error) {
	return l.BlobAt(ctx, want, 0, r, progress)
}

// ResumeOffset is where a reader for BlobAt should start: the number of bytes that a former attempt left.
func (l *Layout) ResumeOffset(want Descriptor) int64 {
	alg, hexa, err := SplitDigest(want.Digest)
	if err != nil {
		return 0
	}
	fi, err := l.root.Stat(blobName(alg, hexa) + ".partial")
	if err != nil || (want.Size > 0 && fi.Size() > want.Size) {
		return 0
	}
	return fi.Size()
}

// BlobAt is Blob with a reader that starts at offset, which is 0 or what ResumeOffset said.
func (l *Layout) BlobAt(ctx context.Context, want Descriptor, offset int64, r io.Reader, progress Progress) (Descriptor, error) {
	w, done, err := l.start(ctx, want, progress)
	if w == nil {
		return done, err
	}
	defer w.Close()
	if offset == 0 {
		err = w.Reset()
	} else if w.Offset() != offset {
		err = fmt.Errorf("resume blob %s: %d bytes are there, the reader starts at %d", want.Digest, w.Offset(), offset)
	}
	if err != nil {
		return Descriptor{}, err
	}
	if err := w.copy(ctx, r, progress); err != nil {
		return Descriptor{}, err
	}
	return w.Commit()
}

// File copies the file src, from its start, into the blob want. On file systems with shared extents (btrfs, xfs) src is cloned
// and takes no room; its digest is checked all the same.
func (l *Layout) File(ctx context.Context, want Descriptor, src *os.File, progress Progress) (Descriptor, error) {
	w, done, err := l.start(ctx, want, progress)
	if w == nil {
		return done, err
	}
	defer w.Close()
	if err := w.Reset(); err != nil {
		return Descriptor{}, err
	}
	if want.Size <= 0 || fileSize(src) == want.Size {
		// Anything that cannot be cloned says so before a byte is there (EXDEV, EOPNOTSUPP, EINVAL).
		if unix.IoctlFileClone(int(w.file.Fd()), int(src.Fd())) == nil {
			if err := w.resume(ctx); err != nil {
				return Descriptor{}, err
			}
			w.resumed = false
			return w.Commit()
		}
	}
	// A descriptor that core donated may have been read before, by an earlier call of the same process.
	if _, err := src.Seek(0, io.SeekStart); err != nil && !errors.Is(err, unix.ESPIPE) {
		return Descriptor{}, fmt.Errorf("copy %s: %w", src.Name(), err)
	}
	if err := w.copy(ctx, src, progress); err != nil {
		return Descriptor{}, err
	}
	return w.Commit()
}

// start returns no Writer when the blob is there.
func (l *Layout) start(ctx context.Context, want Descriptor, progress Progress) (*Writer, Descriptor, error) {
	if want.Digest != "" {
		if ok, err := l.Has(ctx, want); err != nil {
			return nil, Descriptor{}, err
		} else if ok {
			fi, err := l.statBlob(want.Digest)
			if err != nil {
				return nil, Descriptor{}, err
			}
			want.Size = fi.Size()
			if progress != nil {
				progress(want.Size, want.Size)
			}
			return nil, want, nil
		}
	}
	w, err := l.Create(ctx, want)
	return w, Descriptor{}, err
}

func (l *Layout) statBlob(digest string) (os.FileInfo, error) {
	alg, hexa, err := SplitDigest(digest)
	if err != nil {
		return nil, err
	}
	return l.root.Stat(blobName(alg, hexa))
}

// copy appends r. When it fails, the bytes so far stay in the partial file, unless they are too many.
func (w *Writer) copy(ctx context.Context, r io.Reader, progress Progress) error {
	_, err := copyContext(ctx, w, r, func(int64) {
		if progress != nil {
			progress(w.off, max(w.want.Size, 0))
		}
	})
	if err != nil {
		return fmt.Errorf("copy blob %s: %w", w.want.Digest, err)
	}
	return nil
}

func fileSize(f *os.File) int64 {
	fi, err := f.Stat()
	if err != nil {
		return -1
	}
	return fi.Size()
}
