package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The decoder allocates the dictionary that a block's header claims, up to 4 GiB, and blocks may follow one
// another in a file. checkXZ walks the file as the decoder will, from chunk to chunk without decoding them, and
// refuses a claim above maxXZDict. (https://tukaani.org/xz/xz-file-format.txt, sections 2 to 4; LZMA2 chunks
// as in XZ Embedded.)
//
//	stream header | block header, LZMA2 chunks, padding, check | ... | index | stream footer | padding

// maxXZDict is what `xz -9` uses.
const maxXZDict = 64 << 20

func xzMagic() []byte { return []byte{0xfd, '7', 'z', 'X', 'Z', 0} }

// xzWalk is a position in the file.
type xzWalk struct {
	r   *bufio.Reader
	off int64
}

func checkXZ(f io.ReaderAt, size int64) error {
	w := &xzWalk{r: bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 4096)}
	for {
		switch err := w.stream(); {
		case errors.Is(err, errXZEnd):
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}

var errXZEnd = errors.New("end of file")

func (w *xzWalk) read(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(w.r, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	w.off += int64(n)
	return b, nil
}

func (w *xzWalk) skip(n int64) error {
	for n > 0 {
		k, err := w.r.Discard(int(min(n, 1<<30)))
		w.off += int64(k)
		n -= int64(k)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

func (w *xzWalk) align() error { return w.skip(-w.off & 3) }

// stream walks one stream, or the padding before it.
func (w *xzWalk) stream() error {
	if _, err := w.r.Peek(1); err != nil {
		return errXZEnd
	}
	head, err := w.read(4)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(head) == 0 {
		return nil // padding
	}
	rest, err := w.read(8)
	if err != nil {
		return err
	}
	if string(head)+string(rest[:2]) != string(xzMagic()) {
		return errors.New("what follows the stream is no xz stream")
	}
	// 2.1.1.2: the check's size by its ID
	check := []int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[rest[3]&0x0f]
	for {
		size, err := w.read(1)
		if err != nil {
			return err
		}
		if size[0] == 0 {
			break // the index
		}
		if err := w.block((int(size[0])+1)*4, check); err != nil {
			return err
		}
	}
	if err := w.index(); err != nil {
		return err
	}
	return w.skip(12)
}

// block walks a block whose size byte has been read.
func (w *xzWalk) block(headerSize int, check int64) error {
	head, err := w.read(headerSize - 1)
	if err != nil {
		return err
	}
	flags, rest := head[0], head[1:len(head)-4]
	if flags&0x03 != 0 {
		return errors.New("it uses filters, which appc images do not need")
	}
	for _, bit := range []byte{0x40, 0x80} { // sizes, which are not needed here
		if flags&bit != 0 {
			if _, rest, err = varint(rest); err != nil {
				return err
			}
		}
	}
	if len(rest) < 3 || rest[0] != 0x21 || rest[1] != 1 {
		return errors.New("it is not of LZMA2 alone")
	}
	bits := rest[2] & 0x3f
	if dict := (int64(2) | int64(bits&1)) << (bits/2 + 11); bits > 40 || dict > maxXZDict {
		return fmt.Errorf("its dictionary is larger than %d MiB; compress it with `xz -9` or less", maxXZDict>>20)
	}
	if err := w.chunks(); err != nil {
		return err
	}
	if err := w.align(); err != nil {
		return err
	}
	return w.skip(check)
}

func (w *xzWalk) chunks() error {
	for {
		control, err := w.read(1)
		if err != nil {
			return err
		}
		switch c := control[0]; {
		case c == 0:
			return nil
		case c == 1 || c == 2: // stored
			b, err := w.read(2)
			if err != nil {
				return err
			}
			if err := w.skip(int64(binary.BigEndian.Uint16(b)) + 1); err != nil {
				return err
			}
		case c >= 0x80:
			b, err := w.read(4)
			if err != nil {
				return err
			}
			n := int64(binary.BigEndian.Uint16(b[2:])) + 1
			if c >= 0xc0 {
				n++ // new properties
			}
			if err := w.skip(n); err != nil {
				return err
			}
		default:
			return fmt.Errorf("an LZMA2 chunk begins with %#02x", c)
		}
	}
}

// index walks the index, whose indicator byte has been read.
func (w *xzWalk) index() error {
	n, err := w.varint()
	if err != nil {
		return err
	}
	for range n {
		for range 2 {
			if _, err := w.varint(); err != nil {
				return err
			}
		}
	}
	if err := w.align(); err != nil {
		return err
	}
	return w.skip(4)
}

func (w *xzWalk) varint() (uint64, error) {
	var v uint64
	for i := range 9 {
		b, err := w.read(1)
		if err != nil {
			return 0, err
		}
		v |= uint64(b[0]&0x7f) << (7 * i)
		if b[0]&0x80 == 0 {
			return v, nil
		}
	}
	return 0, errors.New("a number in it is too long")
}

func varint(b []byte) (v uint64, rest []byte, err error) {
	for i := 0; i < len(b) && i < 9; i++ {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return v, b[i+1:], nil
		}
	}
	return 0, nil, errors.New("a number in it is too long")
}
