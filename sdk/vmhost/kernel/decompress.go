package kernel

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxModule is far above the largest module of a distribution.
const maxModule = 64 << 20

// Module returns the bytes of a module file, decompressed.
func Module(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	var r io.Reader
	switch {
	case strings.HasSuffix(path, ".xz"):
		r, err = xz.NewReader(bytes.NewReader(b))
	case strings.HasSuffix(path, ".zst"):
		var z *zstd.Decoder
		z, err = zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxModule))
		if err == nil {
			defer z.Close()
		}
		r = z
	case strings.HasSuffix(path, ".gz"):
		r, err = gzip.NewReader(bytes.NewReader(b))
	default:
		return b, nil
	}
	if err == nil {
		b, err = io.ReadAll(io.LimitReader(r, maxModule+1))
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	}
	if len(b) > maxModule {
		return nil, fmt.Errorf("decompress %s: it is larger than %d MiB", path, maxModule>>20)
	}
	return b, nil
}
