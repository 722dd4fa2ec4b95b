package ocilayout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Writer writes one blob into its .partial file. It is not for several goroutines.
//
//	Create ──> Write... ──> Commit          the blob is there
//	             │ └─ Close                 .partial stays, a later Create goes on at Offset
//	             └─ Reset ──> Write...      from the start
//	                Discard                 .partial is gone
type Writer struct {
	layout  *Layout
	want    Descriptor
	alg     string
	partial string
	resumed bool // bytes of a former attempt were taken over
	file    *os.File
	hash    hash.Hash
	off     int64
}

// Create starts the blob want, or goes on with the bytes that a former attempt left in its .partial file; they
// are digested first. want.Digest may be empty; then the blob is named at Commit, by sha256, and cannot be
// resumed. A Size of 0 or less means unknown.
func (l *Layout) Create(ctx context.Context, want Descriptor) (*Writer, error) {
	w := &Writer{layout: l, want: want, alg: "sha256"}
	hexa := newPrefix + rand.Text()
	if want.Digest != "" {
		var err error
		if w.alg, hexa, err = SplitDigest(want.Digest); err != nil {
			return nil, err
		}
	}
	w.partial = blobName(w.alg, hexa) + ".partial"
	if err := l.root.MkdirAll("blobs/"+w.alg, 0o755); err != nil {
		return nil, fmt.Errorf("create blob directory: %w", err)
	}
	f, err := l.root.OpenFile(w.partial, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create blob: %w", err)
	}
	w.file, w.hash = f, newHash(w.alg)
	if err := w.claim(); err != nil {
		f.Close()
		return nil, fmt.Errorf("create blob: %w", err)
	}
	if err := w.resume(ctx); err != nil {
		f.Close()
		return nil, fmt.Errorf("resume blob %s: %w", want.Digest, err)
	}
	return w, nil
}

// claim makes the writer the only one of its blob, over processes too: a fetcher that was killed may not be
// dead yet when the next one starts. The lock goes with the descriptor.
func (w *Writer) claim() error {
	if err := unix.Flock(int(w.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s: %w", w.partial, ErrBusy)
	} else if err != nil {
		return fmt.Errorf("lock %s: %w", w.partial, err)
	}
	mine, err := w.file.Stat()
	if err != nil {
		return err
	}
	named, err := w.layout.root.Lstat(w.partial)
	if err != nil || !os.SameFile(mine, named) || !named.Mode().IsRegular() {
		return fmt.Errorf("%s changed while it was opened", w.partial)
	}
	return nil
}

func (w *Writer) resume(ctx context.Context) error {
	n, err := copyContext(ctx, w.hash, w.file, nil)
	if err != nil {
		return err
	}
	w.off, w.resumed = n, n > 0
	if w.want.Size > 0 && n > w.want.Size {
		return w.Reset()
	}
	return nil
}

// Offset is the number of bytes that are there, and the place of the next Write.
func (w *Writer) Offset() int64 { return w.off }

// Resumed says whether bytes of a former attempt are part of the blob, so that a mismatch may be theirs.
func (w *Writer) Resumed() bool { return w.resumed }

// Reset drops all bytes; the next Write begins the blob anew.
func (w *Writer) Reset() error {
	if err := w.file.Truncate(0); err != nil {
		return fmt.Errorf("restart blob: %w", err)
	}
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("restart blob: %w", err)
	}
	w.hash.Reset()
	w.off, w.resumed = 0, false
	return nil
}

// Write appends to the blob. It refuses, before anything is written, a byte more than want.Size.
func (w *Writer) Write(p []byte) (int, error) {
	if w.want.Size > 0 && int64(len(p)) > w.want.Size-w.off {
		return 0, fmt.Errorf("blob %s: more than the %d bytes that its descriptor names: %w", w.want.Digest, w.want.Size, ErrMismatch)
	}
	n, err := w.file.Write(p)
	w.hash.Write(p[:n])
	w.off += int64(n)
	if err != nil {
		return n, fmt.Errorf("write blob: %w", err)
	}
	return n, nil
}

// Commit checks size and digest and gives the blob its name. With too few bytes it fails with
// io.ErrUnexpectedEOF and the partial file stays; with wrong ones it fails with ErrMismatch and the partial
// file is gone. The Writer is closed in every case.
func (w *Writer) Commit() (Descriptor, error) {
	defer w.Close()
	got := w.want
	got.Size = w.off
	got.Digest = sum(w.alg, w.hash)
	if w.want.Size > 0 && w.off < w.want.Size {
		return got, fmt.Errorf("blob %s: ends after %d of %d bytes: %w", w.want.Digest, w.off, w.want.Size, io.ErrUnexpectedEOF)
	}
	if w.want.Digest != "" && got.Digest != w.want.Digest {
		w.Discard()
		return got, fmt.Errorf("blob %s: the bytes have the digest %s: %w", w.want.Digest, got.Digest, ErrMismatch)
	}
	alg, hexa, err := SplitDigest(got.Digest)
	if err != nil {
		return got, err
	}
	if err := w.layout.root.Rename(w.partial, blobName(alg, hexa)); err != nil {
		return got, fmt.Errorf("commit blob: %w", err)
	}
	w.partial = ""
	w.layout.markGood(got.Digest)
	return got, nil
}

// Close ends the writing. The bytes stay for a later Create, unless the blob has no name yet. It may be called
// twice, and after Commit.
func (w *Writer) Close() error {
	if w.file == nil {
		return nil
	}
	if w.want.Digest == "" {
		w.unlink()
	}
	err := w.file.Close()
	w.file = nil
	return err
}

// Discard ends the writing and drops the bytes.
func (w *Writer) Discard() error {
	if w.file == nil {
		return nil
	}
	err := w.unlink()
	return errors.Join(err, w.Close())
}

func (w *Writer) unlink() error {
	if w.partial == "" {
		return nil
	}
	err := w.layout.root.Remove(w.partial)
	w.partial = ""
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
