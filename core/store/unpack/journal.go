package unpack

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
)

// Kind is what an entry is.
type Kind byte

// The kinds of journal lines.
const (
	KindFile     Kind = 'f'
	KindDir      Kind = 'd'
	KindSymlink  Kind = 'l'
	KindHardlink Kind = 'h'
	KindChar     Kind = 'c'
	KindBlock    Kind = 'b'
	KindFifo     Kind = 'p'
	KindWhiteout Kind = 'w'
	KindImplicit Kind = 'i' // a parent that the archive does not hold: only that it is a directory counts
	KindOpaque   Kind = 'o' // the directory hides what lower layers have under its name
	KindRemoved  Kind = 'x' // replaced by what follows, with everything below it
)

// Entry is one line of the journal: what the unpacker left on disk under Path. For a path with several lines
// the last one holds.
//
//	KIND MODE UID GID MTIME SIZE CRC "PATH"[ "TARGET"]
//
// in decimal, but MODE in octal and CRC (CRC-32C of the content) in hexadecimal. SIZE of a device is its number.
type Entry struct {
	Kind   Kind
	Mode   uint32 // permission bits, setuid, setgid, sticky
	UID    int
	GID    int
	MTime  int64 // seconds
	Size   int64
	CRC    uint32
	Path   string // canonical: relative, clean
	Target string // symlink and hardlink
}

// journal writes entries and their digest.
type journal struct {
	w    *bufio.Writer
	h    hash.Hash
	line []byte
}

func newJournal(w io.Writer) *journal {
	h := sha256.New()
	return &journal{w: bufio.NewWriterSize(io.MultiWriter(w, h), 64<<10), h: h}
}

func (j *journal) add(e *Entry) error {
	b := append(j.line[:0], byte(e.Kind), ' ')
	b = strconv.AppendUint(b, uint64(e.Mode), 8)
	for _, n := range [...]int64{int64(e.UID), int64(e.GID), e.MTime, e.Size} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	b = strconv.AppendUint(append(b, ' '), uint64(e.CRC), 16)
	b = strconv.AppendQuote(append(b, ' '), e.Path)
	if e.Target != "" {
		b = strconv.AppendQuote(append(b, ' '), e.Target)
	}
	b = append(b, '\n')
	j.line = b
	_, err := j.w.Write(b)
	return err
}

// finish flushes and returns the digest of all lines.
func (j *journal) finish() (string, error) {
	if err := j.w.Flush(); err != nil {
		return "", fmt.Errorf("write the journal: %w", err)
	}
	return fmt.Sprintf("sha256:%x", j.h.Sum(nil)), nil
}

// ReadJournal calls f for each entry and returns the digest of all lines.
func ReadJournal(r io.Reader, f func(*Entry) error) (string, error) {
	h := sha256.New()
	br := bufio.NewReaderSize(io.TeeReader(r, h), 64<<10)
	for n := 1; ; n++ {
		line, err := br.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return fmt.Sprintf("sha256:%x", h.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("journal line %d: %w", n, err)
		}
		e, err := parseEntry(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return "", fmt.Errorf("journal line %d: %w", n, err)
		}
		if err := f(e); err != nil {
			return "", err
		}
	}
}

var errJournal = errors.New("not a journal entry")

func parseEntry(line []byte) (*Entry, error) {
	f := bytes.SplitN(line, []byte(" "), 8)
	if len(f) != 8 || len(f[0]) != 1 {
		return nil, errJournal
	}
	e := &Entry{Kind: Kind(f[0][0])}
	mode, err1 := strconv.ParseUint(string(f[1]), 8, 32)
	uid, err2 := strconv.Atoi(string(f[2]))
	gid, err3 := strconv.Atoi(string(f[3]))
	mtime, err4 := strconv.ParseInt(string(f[4]), 10, 64)
	size, err5 := strconv.ParseInt(string(f[5]), 10, 64)
	crc, err6 := strconv.ParseUint(string(f[6]), 16, 32)
	if errors.Join(err1, err2, err3, err4, err5, err6) != nil {
		return nil, errJournal
	}
	e.Mode, e.UID, e.GID, e.MTime, e.Size, e.CRC = uint32(mode), uid, gid, mtime, size, uint32(crc)
	rest := string(f[7])
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return nil, errJournal
	}
	if e.Path, err = strconv.Unquote(quoted); err != nil {
		return nil, errJournal
	}
	if rest = rest[len(quoted):]; rest != "" {
		if e.Target, err = strconv.Unquote(rest[1:]); err != nil || rest[0] != ' ' {
			return nil, errJournal
		}
	}
	return e, nil
}
