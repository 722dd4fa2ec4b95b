package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Listed is one file of the keyring, for `rkt trust --list`.
type Listed struct {
	Key
	Info   Info  // zero when Err is set or Masked
	Vendor bool  // it lies in the vendor's tree
	Masked bool  // it does not count: the admin's tree has an empty file of the same name
	Err    error // why the file is not a key; such a file makes fetches below Prefix fail, unless Stray
	Stray  bool  // its name is no fingerprint, so it is never read
}

// List returns all files of both trees, ordered by prefix, root keys first. A broken file carries its error
// and hides no other.
func (k *Keyring) List() ([]Listed, error) {
	var all []Listed
	for _, tree := range []string{k.system, k.local} {
		if tree == "" {
			continue
		}
		found, err := listTree(tree, tree == k.system)
		if err != nil {
			return nil, fmt.Errorf("list trusted keys: %w", err)
		}
		all = append(all, found...)
	}
	return applyMasks(all), nil
}

// applyMasks marks vendor keys that the admin's tree hides, and those that it replaces. An empty admin file
// that masks nothing (any more) is left out.
func applyMasks(all []Listed) []Listed {
	type at struct{ prefix, id string }
	admin := map[at]bool{}
	for _, l := range all {
		if !l.Vendor {
			admin[at{l.Prefix, l.ID}] = true
		}
	}
	out := slices.DeleteFunc(all, func(l Listed) bool { return l.Masked })
	for i := range out {
		if out[i].Vendor && admin[at{out[i].Prefix, out[i].ID}] {
			out[i].Masked = true
		}
	}
	slices.SortStableFunc(out, func(a, b Listed) int {
		// Root, "*", sorts before every letter and digit.
		if c := strings.Compare(a.Prefix, b.Prefix); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

func listTree(tree string, vendor bool) ([]Listed, error) {
	var out []Listed
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		l := Listed{Key: Key{Path: path, ID: d.Name()}, Vendor: vendor}
		top, rest, _ := strings.Cut(filepath.ToSlash(filepath.Dir(rel)), "/")
		switch {
		case top == rootDir && rest == "":
			l.Prefix = Root
		case top == prefixDir && rest != "":
			l.Prefix = rest
		default:
			l.Stray, l.Err = true, fmt.Errorf("%s: lies neither in root.d nor below prefix.d, so it is not read", path)
		}
		if l.Err == nil && !fingerprintRE.MatchString(d.Name()) {
			l.Stray, l.Err = true, fmt.Errorf("%s: its name is no fingerprint, so it is not read; add it with `rkt trust`", path)
		}
		if l.Err == nil {
			l.Masked, l.Err = checkFile(path)
		}
		if l.Err == nil && !l.Masked {
			l.Info, l.Err = infoOf(path)
		}
		out = append(out, l)
		return nil
	})
	return out, err
}

func infoOf(path string) (Info, error) {
	b, err := readKeyFile(path)
	if err != nil {
		return Info{}, err
	}
	keys, err := readKeys(b)
	if err != nil {
		return Info{}, err
	}
	return describe(keys[0], time.Now()), nil
}
