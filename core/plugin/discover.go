package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/proto/manifest"
)

// SearchPath returns the directories that hold plugins, the first to win first:
//
//	extra                        flags and RKT_PLUGIN_PATH; whether root may use them is the caller's policy
//	$XDG_DATA_HOME/rkt/plugins   users only
//	/etc/rkt/plugins.d           the admin's, and where masks are put
//	/run/rkt/plugins.d           until the next boot
//	<exe>/../lib/rkt/plugins     the tree that rkt's own binary is in
//	/usr/local/lib/rkt/plugins
//	/usr/lib/rkt/plugins, /usr/libexec/rkt/plugins
//
// The order is systemd's: what an admin writes wins over what packages bring, wherever rkt itself lies.
func SearchPath(exe string, extra []string, euid int) []string {
	var dirs []string
	add := func(dir string) {
		if dir == "" || !filepath.IsAbs(dir) {
			return
		}
		if dir = filepath.Clean(dir); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, d := range extra {
		if abs, err := filepath.Abs(d); d != "" && err == nil {
			add(abs)
		}
	}
	if euid != 0 {
		if data := os.Getenv("XDG_DATA_HOME"); data != "" {
			add(filepath.Join(data, "rkt/plugins"))
		} else if home := os.Getenv("HOME"); home != "" {
			add(filepath.Join(home, ".local/share/rkt/plugins"))
		}
	}
	add("/etc/rkt/plugins.d")
	add("/run/rkt/plugins.d")
	system := []string{"/usr/local/lib/rkt/plugins", "/usr/lib/rkt/plugins", "/usr/libexec/rkt/plugins"}
	if exe != "" {
		if tree := filepath.Join(filepath.Dir(exe), "../lib/rkt/plugins"); !slices.Contains(system, tree) {
			add(tree) // of an installed rkt it is one of the system's, which keep their place
		}
	}
	for _, d := range system {
		add(d)
	}
	return dirs
}

// Set is what discovery found.
type Set struct {
	dirs    []string
	entries []Entry
}

// Discover reads the plugin.json of every directory in dirs, and nothing else. The first of a name wins. It
// cannot fail: what is wrong with a directory is said by its entry, and by the error of who needs it.
func Discover(dirs []string) *Set {
	s := &Set{dirs: dirs}
	first := map[string]string{} // name -> directory of the plugin or mask that counts
	for _, dir := range dirs {
		names, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.entries = append(s.entries, Entry{Name: filepath.Base(dir), Dir: dir, Err: err})
		}
		for _, de := range names {
			e, ok := look(dir, de)
			if !ok {
				continue
			}
			if e.Err == nil {
				if by, taken := first[e.Name]; taken {
					e.ShadowedBy = by
				} else {
					first[e.Name] = e.Dir
				}
			}
			s.entries = append(s.entries, e)
		}
	}
	return s
}

// look makes an entry of one name in a plugin directory, or says that it is nothing of ours.
func look(dir string, de fs.DirEntry) (Entry, bool) {
	e := Entry{Name: de.Name(), Dir: filepath.Join(dir, de.Name())}
	switch {
	case strings.HasPrefix(e.Name, "."):
		return e, false
	case de.Type()&fs.ModeSymlink != 0:
		to, err := os.Readlink(e.Dir)
		switch {
		case err != nil:
			e.Err = err
		case to == os.DevNull:
			e.Masked = true
		default:
			e.Err = fmt.Errorf("is a symbolic link to %s, which rkt does not follow (move the directory here, or give its parent to RKT_PLUGIN_PATH)", to)
		}
		return e, true
	case !de.IsDir():
		return e, false
	}
	if to, err := os.Readlink(filepath.Join(e.Dir, manifest.FileName)); err == nil && to == os.DevNull {
		e.Masked = true
		return e, true
	}
	m, raw, err := readManifest(e.Dir)
	switch {
	case err != nil:
		e.Err = err
	case m.Name != e.Name:
		e.Err = fmt.Errorf("its %s names the plugin %q, the directory is called %q", manifest.FileName, m.Name, e.Name)
	default:
		e.Manifest, e.Masked, e.raw = m, m.Masked, raw
	}
	return e, true
}

// Dirs are the directories that were searched.
func (s *Set) Dirs() []string { return slices.Clone(s.dirs) }

// Entries returns everything found, by name, and for each name in the order of precedence.
func (s *Set) Entries() []Entry {
	es := slices.Clone(s.entries)
	slices.SortStableFunc(es, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return es
}
