package convert

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/archive"
)

const (
	whiteoutPrefix = ".wh."
	maxXattrs      = 64 << 10 // bytes of one file's, which is the kernel's limit for one value
)

// layer rewrites the rootfs of an ACI.
type layer struct {
	keep  whitelist
	owner *owners
	first []byte // the manifest that was parsed; the only one that may be there
	left  int64  // bytes that files may still have; sparse ones are more than what was read for them
}

// write copies all entries of an uncompressed ACI to w, without rootfs/ before their names.
func (l *layer) write(w io.Writer, aci io.Reader) error {
	ar, tw := archive.NewReader(aci), tar.NewWriter(w)
	manifests := 0
	for {
		e, err := ar.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if e.Manifest {
			b, err := archive.ReadManifest(ar, e)
			if err != nil {
				return err
			}
			if manifests++; manifests > 1 || string(b) != string(l.first) {
				return errors.New("it has more than one manifest")
			}
			continue
		}
		if err := l.copy(tw, ar, e); err != nil {
			return fmt.Errorf("entry %q: %w", clip(e.Name), err)
		}
	}
	return tw.Close()
}

func (l *layer) copy(tw *tar.Writer, ar *archive.Reader, e archive.Entry) error {
	h, err := rewrite(e)
	if err != nil {
		return err
	}
	l.owner.see(e)
	if !l.keep.has(e.Path, e.Typeflag == tar.TypeDir) {
		return nil
	}
	if h.Typeflag == tar.TypeLink {
		if target := strings.TrimSuffix(h.Linkname, "/"); !l.keep.has(target, false) {
			return fmt.Errorf("it is a hard link to %q, which pathWhitelist leaves out", clip(target))
		}
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	if l.left -= h.Size; l.left < 0 {
		return archive.ErrTooLarge
	}
	_, err = io.Copy(tw, ar)
	return err
}

// rewrite makes a fresh header: only what a layer needs, whatever the ACI's tar had besides.
func rewrite(e archive.Entry) (*tar.Header, error) {
	h := &tar.Header{
		Format: tar.FormatPAX, Typeflag: e.Typeflag, Name: e.Path, Mode: e.Mode & 0o7777, Uid: e.Uid, Gid: e.Gid, ModTime: e.ModTime,
	}
	if e.Path == "" {
		h.Name = "./"
	}
	for c := range strings.SplitSeq(e.Path, "/") {
		if strings.HasPrefix(c, whiteoutPrefix) {
			return nil, errors.New("a name that begins with .wh. deletes files in an OCI layer, so it cannot be carried over")
		}
	}
	if e.Uid < 0 || e.Gid < 0 {
		return nil, fmt.Errorf("owner %d:%d is negative", e.Uid, e.Gid)
	}
	switch e.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		h.Typeflag, h.Size = tar.TypeReg, e.Size // the reader fills the holes of a sparse file
	case tar.TypeDir:
		if e.Path != "" {
			h.Name += "/"
		}
	case tar.TypeSymlink:
		if e.Linkname == "" || len(e.Linkname) > 4095 || strings.ContainsRune(e.Linkname, 0) {
			return nil, errors.New("its target is empty, too long or holds a NUL")
		}
		h.Linkname = e.Linkname // may lead anywhere: it is resolved inside the container
	case tar.TypeLink:
		target, err := archive.RootfsPath(e.Linkname)
		if err != nil {
			return nil, fmt.Errorf("its target %q: %w", clip(e.Linkname), err)
		}
		h.Linkname = target
	case tar.TypeChar, tar.TypeBlock:
		h.Devmajor, h.Devminor = e.Devmajor, e.Devminor
	case tar.TypeFifo:
	default:
		return nil, fmt.Errorf("type %q is not for images", string(e.Typeflag))
	}
	return h, xattrs(h, e)
}

// xattrs carries over what means the same inside a container: file capabilities and what users set. Not labels
// of the builder's security modules, not overlay's own.
func xattrs(h *tar.Header, e archive.Entry) error {
	const prefix = "SCHILY.xattr."
	size := 0
	for k, v := range e.PAXRecords {
		name, ok := strings.CutPrefix(k, prefix)
		if !ok || name != "security.capability" && !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		if size += len(k) + len(v); size > maxXattrs {
			return fmt.Errorf("its extended attributes have more than %d bytes", maxXattrs)
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[k] = v
	}
	return nil
}

// whitelist is the pathWhitelist: nil keeps everything.
type whitelist struct {
	paths   map[string]bool
	parents map[string]bool // directories that lead to them
}

func newWhitelist(list []string) whitelist {
	if len(list) == 0 {
		return whitelist{}
	}
	w := whitelist{map[string]bool{}, map[string]bool{"": true}}
	for _, p := range list {
		p = strings.TrimPrefix(path.Clean(p), "/")
		w.paths[p] = true
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			w.parents[d] = true
		}
	}
	return w
}

func (w whitelist) has(p string, dir bool) bool {
	return w.paths == nil || w.paths[p] || dir && w.parents[p]
}

// owners answers appc's user and group of the form "/path": whoever owns that file. A map of two at most.
type owners struct{ byPath map[string]*owned }

type owned struct {
	seen, symlink bool
	uid, gid      int
}

func newOwners(app *appc.App) *owners {
	o := &owners{map[string]*owned{}}
	if app != nil {
		for _, p := range []string{app.User, app.Group} {
			if path.IsAbs(p) {
				o.byPath[strings.TrimPrefix(path.Clean(p), "/")] = &owned{}
			}
		}
	}
	return o
}

func (o *owners) see(e archive.Entry) {
	if x := o.byPath[e.Path]; x != nil {
		*x = owned{true, e.Typeflag == tar.TypeSymlink, e.Uid, e.Gid}
	}
}

// ids turns user and group into what OCI and core know: a name or a number.
func (o *owners) ids(app *appc.App) (user, group string, err error) {
	user, group = app.User, app.Group
	for _, f := range []struct {
		name string
		out  *string
		id   func(*owned) int
	}{{"user", &user, func(x *owned) int { return x.uid }}, {"group", &group, func(x *owned) int { return x.gid }}} {
		if !path.IsAbs(*f.out) {
			continue
		}
		x := o.byPath[strings.TrimPrefix(path.Clean(*f.out), "/")]
		switch {
		case x == nil || !x.seen:
			return "", "", fmt.Errorf("app: %s is the owner of %q, which is not in the image", f.name, clip(*f.out))
		case x.symlink:
			return "", "", fmt.Errorf("app: %s is the owner of %q, which is a symbolic link", f.name, clip(*f.out))
		}
		*f.out = fmt.Sprint(f.id(x))
	}
	return user, group, nil
}

func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}

// clone keeps JSON free of `null` and of the manifest's own map.
func clone(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}
