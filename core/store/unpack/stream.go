package unpack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The child works in three stages side by side: decompress, digest, unpack. A chunk goes from the first to the
// other two and back to the pool when both are done with it.
const (
	chunkSize = 256 << 10
	chunks    = 8
)

type chunk struct {
	buf  []byte
	n    int
	refs atomic.Int32
}

// stream is the uncompressed archive. Read serves the tar reader; the digest is taken of every byte, read or not.
type stream struct {
	free   chan *chunk
	toRead chan *chunk
	toHash chan *chunk
	stop   chan struct{}
	once   sync.Once
	hashed chan struct{}

	err   error // of the decompressor; set before toRead is closed
	cur   *chunk
	off   int
	bytes int64 // uncompressed, complete once toRead is closed
	in    *counter
}

// newStream starts the stages. The caller reads to the end or calls close.
func newStream(r io.Reader, h hash.Hash, lim Limits) (*stream, error) {
	in := &counter{r: r}
	dec, err := decompressor(in, lim)
	if err != nil {
		return nil, err
	}
	s := &stream{
		free: make(chan *chunk, chunks), toRead: make(chan *chunk, chunks), toHash: make(chan *chunk, chunks),
		stop: make(chan struct{}), hashed: make(chan struct{}), in: in,
	}
	for range chunks {
		s.free <- &chunk{}
	}
	go func() {
		defer close(s.hashed)
		for c := range s.toHash {
			h.Write(c.buf[:c.n])
			s.release(c)
		}
	}()
	go func() {
		s.err = s.fill(dec, lim)
		dec.Close()
		close(s.toHash)
		close(s.toRead)
	}()
	return s, nil
}

func (s *stream) fill(dec io.Reader, lim Limits) error {
	for {
		var c *chunk
		select {
		case c = <-s.free:
		case <-s.stop:
			return errors.New("stopped")
		}
		if c.buf == nil { // small layers need one
			c.buf = make([]byte, chunkSize)
		}
		n, err := readChunk(dec, c.buf)
		if n > 0 {
			s.bytes += int64(n)
			if err := s.bound(lim); err != nil {
				return err
			}
			c.n = n
			c.refs.Store(2)
			s.toHash <- c // never blocks: as much room as chunks
			s.toRead <- c
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("decompress the layer: %w", err)
		}
	}
}

// readChunk fills buf and tells a clean end (io.EOF) from a truncated member (io.ErrUnexpectedEOF), which
// io.ReadFull would make one.
func readChunk(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

func (s *stream) bound(lim Limits) error {
	if s.bytes > lim.Bytes {
		return &limitError{"bytes when decompressed", lim.Bytes}
	}
	if s.bytes > lim.RatioFloor && s.bytes/lim.Ratio > s.in.n.Load() {
		return fmt.Errorf("the layer decompresses to more than %d times its size, which is the limit", lim.Ratio)
	}
	return nil
}

func (s *stream) release(c *chunk) {
	if c.refs.Add(-1) == 0 {
		s.free <- c
	}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for s.cur == nil || s.off == s.cur.n {
		if s.cur != nil {
			s.release(s.cur)
			s.cur = nil
		}
		c, ok := <-s.toRead
		if !ok {
			if s.err != nil {
				return 0, s.err
			}
			return 0, io.EOF
		}
		s.cur, s.off = c, 0
	}
	n := copy(p, s.cur.buf[s.off:s.cur.n])
	s.off += n
	return n, nil
}

// drain reads what follows the archive's end marker: it belongs to the digest.
func (s *stream) drain() error {
	for {
		if s.cur != nil {
			s.release(s.cur)
			s.cur = nil
		}
		c, ok := <-s.toRead
		if !ok {
			<-s.hashed
			return s.err
		}
		s.cur, s.off = c, c.n
	}
}

// close ends the stages early.
func (s *stream) close() { s.once.Do(func() { close(s.stop) }) }

// counter counts compressed bytes.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

var (
	gzipMagic = []byte{0x1f, 0x8b, 0x08}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// decompressor goes by the first bytes, not by the media type: registries are full of layers that say one and
// are the other, and every engine does it so. What was meant is settled by the diffID.
func decompressor(r io.Reader, lim Limits) (io.ReadCloser, error) {
	br := bufio.NewReaderSize(r, 128<<10)
	head, err := br.Peek(4)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the layer: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("decompress the layer: %w", err)
		}
		return z, nil
	case bytes.HasPrefix(head, zstdMagic) || skippable(head):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(lim.ZstdWindow)))
		if err != nil {
			return nil, fmt.Errorf("decompress the layer: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(br), nil
}

// skippable frames (RFC 8878, 3.1.2) may come before the first real one; zstd:chunked ends with one.
func skippable(head []byte) bool {
	return len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18})
}
