package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrNotTrusted is returned by Remove for a key that does not count at that place.
var ErrNotTrusted = errors.New("key is not trusted there")

// Add trusts every key in b for prefix (or Root) and returns them. It writes to the admin's tree alone. The
// caller has had the fingerprints reviewed. Adding a key again replaces its file, which is how a refreshed key
// (new expiry, revocation) gets in.
func (k *Keyring) Add(prefix string, b []byte) ([]Key, error) {
	if err := CheckPrefix(prefix); err != nil {
		return nil, fmt.Errorf("trust key: %w", err)
	}
	prefix = normal(prefix)
	entities, err := readKeys(b)
	if err != nil {
		return nil, fmt.Errorf("trust key: %w", err)
	}
	dir := filepath.Join(k.local, place(prefix))
	if err := makeDirs(dir); err != nil {
		return nil, fmt.Errorf("trust key for %s: %w", prefix, err)
	}
	var added []Key
	for _, e := range entities {
		text, err := encode(e)
		if err != nil {
			return added, fmt.Errorf("trust key for %s: %w", prefix, err)
		}
		key := Key{Path: filepath.Join(dir, fingerprint(e)), ID: fingerprint(e), Prefix: prefix}
		if err := writeFile(key.Path, text); err != nil {
			return added, fmt.Errorf("trust key for %s: %w", prefix, err)
		}
		added = append(added, key)
	}
	return added, nil
}

// Remove ends the trust in one key for prefix (or Root): the admin's file is removed, a vendor's key is masked
// by an empty file. Trust in the same key for other prefixes stays.
func (k *Keyring) Remove(prefix, id string) error {
	if err := CheckPrefix(prefix); err != nil {
		return fmt.Errorf("remove trusted key: %w", err)
	}
	prefix = normal(prefix)
	if !fingerprintRE.MatchString(id) {
		return fmt.Errorf("remove trusted key: %q is not a full fingerprint in lower-case hex", id)
	}
	local := filepath.Join(k.local, place(prefix), id)
	if k.system != "" {
		vendor := filepath.Join(k.system, place(prefix), id)
		if _, err := os.Stat(vendor); err == nil {
			if err := makeDirs(filepath.Dir(local)); err != nil {
				return fmt.Errorf("mask vendor key %s for %s: %w", id, prefix, err)
			}
			return writeFile(local, nil)
		}
	}
	err := os.Remove(local)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove key %s for %s: %w", id, prefix, ErrNotTrusted)
	}
	if err != nil {
		return fmt.Errorf("remove key for %s: %w", prefix, err)
	}
	return syncDir(filepath.Dir(local))
}
