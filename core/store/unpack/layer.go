package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Result is what the child reports, in one JSON document.
type Result struct {
	DiffID  string   `json:"diffID,omitempty"`  // digest of the uncompressed archive
	Bytes   int64    `json:"bytes,omitempty"`   // of the uncompressed archive
	Size    int64    `json:"size,omitempty"`    // content of the files
	Entries int64    `json:"entries,omitempty"` // members of the archive
	Journal string   `json:"journal,omitempty"` // digest of the journal
	Opaque  []string `json:"opaque,omitempty"`  // canonical paths of directories that hide what is below
	Skipped []string `json:"skipped,omitempty"` // what could not be set, first few, each with the reason
	Error   string   `json:"error,omitempty"`
	Host    bool     `json:"host,omitempty"` // the error is this host's, not the layer's: no space, no permission
}

const (
	whiteoutPrefix = ".wh."
	opaqueMarker   = ".wh..wh..opq"
	metaPrefix     = ".wh..wh." // further AUFS bookkeeping, of no meaning elsewhere
	maxSkipped     = 20
)

// layer unpacks one archive below the directory root.
type layer struct {
	lim      Limits
	rootless bool // no chown, no devices, no trusted attributes: for users who keep a store of their own
	root     int
	dirs     *dirs
	journal  *journal
	res      Result
	names    int64
	opaque   map[string]bool
	later    map[string]dirMeta // set when nothing is created below any more
	buf      []byte
	zero     []byte
	fail     error // of a callback
}

type dirMeta struct {
	mode  uint32
	mtime unix.Timespec
}

func newLayer(root int, journalTo io.Writer, lim Limits, rootless bool) *layer {
	l := &layer{lim: lim, rootless: rootless, root: root, journal: newJournal(journalTo),
		opaque: map[string]bool{}, later: map[string]dirMeta{}, buf: make([]byte, chunkSize), zero: make([]byte, chunkSize)}
	l.dirs = newDirs(root, l.implicit)
	return l
}

// unpack reads the blob from r to its end.
func (l *layer) unpack(r io.Reader, h hash.Hash) error {
	s, err := newStream(r, h, l.lim)
	if err != nil {
		return err
	}
	defer s.close()
	tr := tar.NewReader(s)
	for {
		hdr, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read the archive behind entry %d: %w", l.res.Entries, err)
		}
		if l.res.Entries++; l.res.Entries > l.lim.Entries {
			return &limitError{"entries", l.lim.Entries}
		}
		if err := l.entry(hdr, tr); err != nil {
			return fmt.Errorf("unpack entry %s: %w", quote(hdr.Name), err)
		}
	}
	if err := s.drain(); err != nil {
		return err
	}
	if l.res.Entries == 0 && s.bytes > 0 && s.bytes%512 != 0 {
		return errors.New("the layer is not a tar archive")
	}
	l.res.Bytes = s.bytes
	if err := l.finishDirs(); err != nil {
		return err
	}
	if err := l.finishOpaque(); err != nil {
		return err
	}
	l.res.Journal, err = l.journal.finish()
	return err
}

// entry unpacks one member. content is read only for a regular file.
func (l *layer) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	p, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= 1<<32-1 || int64(h.Gid) >= 1<<32-1 {
		return fmt.Errorf("there is no owner %d:%d", h.Uid, h.Gid)
	}
	if l.names += int64(len(h.Name) + len(h.Linkname)); l.names > l.lim.NameBytes {
		return &limitError{"bytes of names", l.lim.NameBytes}
	}
	if p == "." {
		if h.Typeflag != tar.TypeDir {
			return errors.New("the root of a layer must be a directory")
		}
		return l.dirMetadata(l.root, ".", ".", h)
	}
	given, base := path.Split(p)
	fd, parent, err := l.dirs.parent(path.Clean(given), true)
	if err == nil {
		err = l.fail
	}
	if err != nil {
		return err
	}
	if strings.HasPrefix(base, whiteoutPrefix) {
		return l.whiteout(fd, parent, base)
	}
	at := place{fd: fd, base: base, path: path.Join(parent, base)}
	if len(at.path) > maxPath {
		return fmt.Errorf("the name has more than %d bytes", maxPath)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return l.dir(at, h)
	case tar.TypeReg, tar.TypeRegA, tar.TypeGNUSparse, tar.TypeCont: //nolint:staticcheck // old archives have TypeRegA
		return l.file(at, h, content)
	case tar.TypeSymlink:
		return l.symlink(at, h)
	case tar.TypeLink:
		return l.hardlink(at, h)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return l.node(at, h)
	}
	return fmt.Errorf("unknown type %q", h.Typeflag)
}

// place is where an entry goes: a name in an open directory, and the canonical path for the journal.
type place struct {
	fd   int
	base string
	path string
}

// cleanName makes an archive's name relative and clean. A leading slash means the layer's root, as in every
// engine; a name that leaves the root is refused.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("the name is empty")
	case len(name) > maxPath:
		return "", fmt.Errorf("the name has %d bytes, %d is the limit", len(name), maxPath)
	case strings.IndexByte(name, 0) >= 0:
		return "", errors.New("the name holds a NUL byte")
	}
	p := path.Clean(strings.TrimLeft(name, "/"))
	if p == ".." || strings.HasPrefix(p, "../") {
		return "", errors.New("the name leaves the layer")
	}
	for c := range strings.SplitSeq(p, "/") {
		if len(c) > maxComponent {
			return "", fmt.Errorf("a part of the name has %d bytes, %d is the limit", len(c), maxComponent)
		}
	}
	return p, nil
}

// whiteout handles .wh.NAME and .wh..wh..opq. Both are about lower layers only: what this layer itself has under
// the name stays, whether it comes before or after the whiteout.
func (l *layer) whiteout(fd int, parent, base string) error {
	if base == opaqueMarker {
		return l.setOpaque(parent)
	}
	if strings.HasPrefix(base, metaPrefix) {
		return nil
	}
	name := strings.TrimPrefix(base, whiteoutPrefix)
	if name == "" || name == "." || name == ".." {
		return errors.New("a whiteout must name something in its own directory")
	}
	at := place{fd: fd, base: name, path: path.Join(parent, name)}
	err := unix.Mknodat(fd, name, unix.S_IFCHR, 0) // a device 0:0 needs no CAP_MKNOD (since Linux 5.8)
	if err == unix.EEXIST {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return l.setOpaque(at.path)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("make whiteout: %w", err)
	}
	return l.journal.add(&Entry{Kind: KindWhiteout, Path: at.path})
}

func (l *layer) setOpaque(canon string) error {
	if !l.opaque[canon] && len(l.opaque) == maxOpaque {
		return &limitError{"opaque directories", maxOpaque}
	}
	l.opaque[canon] = true
	return nil
}

// implicit is called for each parent that the archive does not hold.
func (l *layer) implicit(canon string, replacedWhiteout bool) {
	if len(canon) > maxPath {
		l.fail = fmt.Errorf("the name has more than %d bytes", maxPath)
		return
	}
	if err := l.journal.add(&Entry{Kind: KindImplicit, Mode: 0o755, Path: canon}); err != nil {
		l.fail = err
	}
	if replacedWhiteout {
		if err := l.setOpaque(canon); err != nil {
			l.fail = err
		}
	}
}

func (l *layer) skip(format string, args ...any) {
	if len(l.res.Skipped) < maxSkipped {
		l.res.Skipped = append(l.res.Skipped, fmt.Sprintf(format, args...))
	}
}

// quote makes a name from an archive fit for a message.
func quote(s string) string {
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	return strconv.QuoteToGraphic(s)
}
