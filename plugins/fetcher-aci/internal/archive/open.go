package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ulikunitz/xz"
)

const (
	// MaxBytes is the most that one image may have uncompressed.
	MaxBytes = 64 << 30
	// maxRatio is the most that a byte of a compressed image may become. gzip cannot exceed 1032, bzip2 and xz
	// reach far more on zeros; real images stay below 100 but for a sparse file of some GB.
	maxRatio = 2000
	// ratioFree is what any image may have without a look at the ratio.
	ratioFree = 1 << 30
)

// Limit is the most that a file of size bytes may unpack to.
func Limit(size int64) int64 {
	if size > MaxBytes/maxRatio {
		return MaxBytes
	}
	return max(ratioFree, size*maxRatio)
}

// ErrTooLarge is wrapped when an image unpacks to more than it may.
var ErrTooLarge = errors.New("unpacks to more than an image may have")

// Open returns the uncompressed tar of the ACI in f, from its beginning. Reading it fails when ctx ends.
func Open(ctx context.Context, f *os.File) (io.Reader, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return open(ctx, f, fi.Size())
}

func open(ctx context.Context, f io.ReaderAt, size int64) (io.Reader, error) {
	raw := bufio.NewReaderSize(&ctxReader{ctx, io.NewSectionReader(f, 0, size)}, 1<<17)
	head, err := raw.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(head) == 0 {
		return nil, errors.New("the file is empty")
	}
	limit := &limitReader{left: Limit(size)}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if limit.r, err = gzip.NewReader(raw); err != nil {
			return nil, fmt.Errorf("uncompress: %w", err)
		}
	case bytes.HasPrefix(head, []byte("BZh")):
		limit.r = bzip2.NewReader(raw)
	case bytes.HasPrefix(head, xzMagic()):
		if err := checkXZ(f, size); err != nil {
			return nil, fmt.Errorf("uncompress xz: %w", err)
		}
		if limit.r, err = xz.NewReader(raw); err != nil {
			return nil, fmt.Errorf("uncompress: %w", err)
		}
	case bytes.HasPrefix(head, []byte("-----")), bytes.HasPrefix(head, []byte{0x85}), bytes.HasPrefix(head, []byte{0x8c}):
		return nil, errors.New("it is encrypted or not an image; rkt runs no encrypted images")
	default:
		limit.r = raw // a plain tar, or nothing at all: the tar reader will say so
	}
	return limit, nil
}

// limitReader fails with ErrTooLarge where io.LimitReader would pretend the end.
type limitReader struct {
	r    io.Reader
	left int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
