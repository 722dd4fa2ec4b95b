package pod

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

// Pods is the directory pods/ of a data directory.
type Pods struct{ root string }

// Open returns the pods of a data directory. It makes nothing: readers may lack the permission.
func Open(dataDir string) *Pods { return &Pods{root: filepath.Join(dataDir, "pods")} }

// Dir is where a pod lies in a section.
func (p *Pods) Dir(s Section, uuid string) string { return filepath.Join(p.root, string(s), uuid) }

func (p *Pods) makeSections() error {
	for _, s := range sections() {
		if err := os.MkdirAll(filepath.Join(p.root, string(s)), 0o750); err != nil {
			return fmt.Errorf("create pod directories: %w", err)
		}
	}
	return nil
}

// New makes a pod in prepare/, locked exclusively by the returned Pod.
func (p *Pods) New() (*Pod, error) {
	if err := p.makeSections(); err != nil {
		return nil, err
	}
	for {
		id, err := uuid.NewRandom()
		if err != nil {
			return nil, fmt.Errorf("create pod: %w", err)
		}
		pod, err := p.embryo(id.String())
		if errors.Is(err, ErrLocked) || errors.Is(err, fs.ErrNotExist) {
			continue // gc took the embryo between mkdir and flock
		}
		if err != nil {
			return nil, fmt.Errorf("create pod: %w", err)
		}
		return pod, nil
	}
}

func (p *Pods) embryo(id string) (*Pod, error) {
	if err := os.Mkdir(p.Dir(Embryo, id), 0o750); err != nil {
		return nil, err
	}
	pod, err := p.lockIn(Embryo, id)
	if err != nil {
		return nil, err
	}
	if err := pod.MoveTo(Prepare); err != nil {
		pod.Close()
		return nil, err
	}
	return pod, nil
}

// uuidRE is what a directory must be called to count as a pod.
var uuidRE = pattern.New(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// in lists the UUIDs of a section.
func (p *Pods) in(s Section) ([]string, error) {
	f, err := os.Open(filepath.Join(p.root, string(s)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(n string) bool { return !uuidRE.MatchString(n) }), nil
}

// In lists the UUIDs of a section, sorted.
func (p *Pods) In(s Section) ([]string, error) {
	names, err := p.in(s)
	slices.Sort(names)
	return names, err
}

// Resolve finds the UUID that a prefix means. Upper case is accepted.
func (p *Pods) Resolve(prefix string) (string, error) {
	want := strings.ToLower(strings.TrimSpace(prefix))
	if want == "" {
		return "", errors.New("a pod UUID cannot be empty")
	}
	var found []string
	for _, s := range sections() {
		names, err := p.in(s)
		if err != nil {
			return "", fmt.Errorf("look up pod %q: %w", prefix, err)
		}
		for _, n := range names {
			// A pod that moves while we read can show up twice.
			if strings.HasPrefix(n, want) && !slices.Contains(found, n) {
				found = append(found, n)
			}
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", &NotFoundError{Prefix: prefix}
	case 1:
		return found[0], nil
	default:
		return "", &AmbiguousError{Prefix: prefix, UUIDs: found}
	}
}

// locate opens a pod's directory wherever it is now. One round is enough: a pod moves only to a later section,
// so one that was not yet in a section when it was looked at will be found in a later one.
func (p *Pods) locate(id string) (*os.File, Section, error) {
	if !uuidRE.MatchString(id) { // "" would name, and lock, the section itself
		return nil, "", &NotFoundError{Prefix: id}
	}
	for _, s := range sections() {
		f, err := openDir(p.Dir(s, id))
		if err == nil {
			return f, s, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	return nil, "", &NotFoundError{Prefix: id}
}

func openDir(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
