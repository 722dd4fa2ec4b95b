package store

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"

	"github.com/rkt/rkt/v2/core/image"
	"github.com/rkt/rkt/v2/core/internal/atomicfile"
)

// nameFile is names/ESCAPED. A name means one image; giving it to another one is a rename(2) over the file.
type nameFile struct {
	Schema int    `json:"schema"`
	Name   string `json:"name"`
	Image  string `json:"image"` // ID
}

// nameFileName is readable as long as it fits into a file name.
func nameFileName(name string) string {
	if e := url.PathEscape(name); len(e) <= 200 && e[0] != '.' {
		return e
	}
	return fmt.Sprintf("%%%x", sha256.Sum256([]byte(name)))
}

// normalNames parses names and returns their normal forms, each once.
func normalNames(names []string) ([]string, error) {
	var out []string
	for _, n := range names {
		r, err := image.Parse(n)
		if err != nil {
			return nil, err
		}
		if r.Scheme == image.ID || r.Scheme == image.Bare {
			return nil, fmt.Errorf("name image: %q has no scheme, write docker://%s", n, n)
		}
		if !slices.Contains(out, r.String()) {
			out = append(out, r.String())
		}
	}
	return out, nil
}

func (s *Store) readName(name string) (id string, err error) {
	return s.readNameFile(nameFileName(name), name)
}

func (s *Store) readNameFile(file, want string) (string, error) {
	n, err := s.parseNameFile(file)
	if err != nil {
		return "", err
	}
	if n.Name != want {
		return "", fs.ErrNotExist
	}
	return n.Image, nil
}

func (s *Store) parseNameFile(file string) (*nameFile, error) {
	b, err := os.ReadFile(s.path("names", file))
	if err != nil {
		return nil, err
	}
	var n nameFile
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("read name %s: %w", file, err)
	}
	if n.Schema != recordSchema || !image.ValidID(n.Image) || nameFileName(n.Name) != file {
		return nil, fmt.Errorf("read name %s: it is not a name record of schema %d", file, recordSchema)
	}
	return &n, nil
}

// allNames returns name -> ID. Unreadable files are left out: they name nothing.
func (s *Store) allNames() (map[string]string, error) {
	entries, err := os.ReadDir(s.path("names"))
	if err != nil {
		return nil, fmt.Errorf("list image names: %w", err)
	}
	out := make(map[string]string, len(entries))
	for _, e := range entries {
		if atomicfile.IsTemp(e.Name()) {
			continue
		}
		if n, err := s.parseNameFile(e.Name()); err == nil {
			out[n.Name] = n.Image
		}
	}
	return out, nil
}

// namesOf returns the sorted names of each image.
func (s *Store) namesOf() (map[string][]string, error) {
	all, err := s.allNames()
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out[all[name]] = append(out[all[name]], name)
	}
	return out, nil
}

// tag gives names to an image. The caller is in change.
func (s *Store) tag(id string, names []string) error {
	for _, name := range names {
		if have, err := s.readName(name); err == nil && have == id {
			continue
		}
		b, err := json.Marshal(nameFile{Schema: recordSchema, Name: name, Image: id})
		if err != nil {
			return err
		}
		if err := atomicfile.Write(s.path("names", nameFileName(name)), append(b, '\n'), 0o640); err != nil {
			return fmt.Errorf("name image %s: %w", short(id), err)
		}
	}
	return nil
}

// Tag gives a further name to a stored image; an image that had it loses it.
func (s *Store) Tag(id, name string) error {
	names, err := normalNames([]string{name})
	if err != nil {
		return err
	}
	return s.change(func() error {
		if _, err := s.readRecord(id); err != nil {
			return err
		}
		return s.tag(id, names)
	})
}

// Untag takes a name away. The image stays, until Remove or GC. A name that means nothing is ErrNotFound.
func (s *Store) Untag(name string) error {
	names, err := normalNames([]string{name})
	if err != nil {
		return err
	}
	return s.change(func() error {
		file := s.path("names", nameFileName(names[0]))
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("untag %s: %w", names[0], ErrNotFound)
		}
		return atomicfile.Remove(file)
	})
}
