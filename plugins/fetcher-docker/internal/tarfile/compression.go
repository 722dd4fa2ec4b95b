package tarfile

import (
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// compression of the whole archive.
type compression int

const (
	plain compression = iota
	gzipped
	bzipped
	zstandard
)

// maxWindow bounds zstd's memory. Level 19 has 8 MiB; only --ultra and --long go beyond.
const maxWindow = 16 << 20

// Magic numbers of compressed data.
const (
	MagicGzip  = "\x1f\x8b"
	MagicZstd  = "\x28\xb5\x2f\xfd"
	magicBzip2 = "BZh"
	magicXZ    = "\xfd7zXZ\x00"
)

func sniff(f *os.File) (compression, error) {
	var head [8]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return plain, err
	}
	switch s := string(head[:n]); {
	case strings.HasPrefix(s, MagicGzip):
		return gzipped, nil
	case strings.HasPrefix(s, magicBzip2):
		return bzipped, nil
	case strings.HasPrefix(s, MagicZstd):
		return zstandard, nil
	case strings.HasPrefix(s, magicXZ):
		return plain, plugin.Errorf(reason.ImageInvalid, "read archive: xz may need any amount of memory; unpack it first: xz -dk FILE")
	}
	return plain, nil
}

// open returns the decompressed stream. A plain file is returned itself, so that archive/tar can seek.
func (c compression) open(f *os.File) (io.Reader, func(), error) {
	nothing := func() {}
	if c == plain {
		return f, nothing, nil
	}
	r := bufio.NewReaderSize(f, 256<<10)
	switch c {
	case gzipped:
		z, err := gzip.NewReader(r)
		return z, nothing, err
	case bzipped:
		return bzip2.NewReader(r), nothing, nil
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, nothing, err
	}
	return z, z.Close, nil
}
