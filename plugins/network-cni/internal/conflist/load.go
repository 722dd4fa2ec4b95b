package conflist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/network"
)

// Network is one configuration.
type Network struct {
	Name string
	File string // empty: compiled in
	List *libcni.NetworkConfigList
}

// Set is what was found.
type Set struct {
	networks []*Network
	dirs     []string
	Warnings []string // files that were ignored, each with the reason
}

const maxFile = 1 << 20

// Load reads the directories. It does not fail: what cannot be used is a warning, and an error only when it is asked for.
func Load(dirs []string) *Set {
	s := &Set{dirs: dirs}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			s.warn("read %s: %v", dir, err)
		}
		for _, e := range entries { // sorted by name
			ext := filepath.Ext(e.Name())
			if ext != ".conflist" && ext != ".conf" || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			file := filepath.Join(dir, e.Name())
			b, err := readFile(file)
			if err == nil {
				err = s.add(b, file)
			}
			if err != nil {
				s.warn("%s: %v", file, err)
			}
		}
	}
	for _, text := range builtins() {
		if err := s.add([]byte(text), ""); err != nil {
			s.warn("built-in network: %v", err) // cannot be: a test parses them
		}
	}
	return s
}

// Get gives the network of a name.
func (s *Set) Get(name string) (*Network, error) {
	for _, n := range s.networks {
		if n.Name == name {
			return n, nil
		}
	}
	looked := "no net.d directory is configured"
	if len(s.dirs) > 0 {
		looked = "looked for *.conflist and *.conf in " + strings.Join(s.dirs, ", ")
	}
	msg := fmt.Sprintf("networks not found: %q; %s; available: %s", name, looked, strings.Join(s.Names(), ", "))
	if len(s.Warnings) > 0 {
		msg += "; ignored: " + strings.Join(s.Warnings, "; ")
	}
	return nil, network.NotFound("%s", msg)
}

// Names gives all names, files first in their order.
func (s *Set) Names() []string {
	var names []string
	for _, n := range s.networks {
		names = append(names, n.Name)
	}
	return names
}

func (s *Set) warn(format string, args ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...))
}

func (s *Set) add(b []byte, file string) error {
	list, err := Parse(b, file)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(s.networks, func(n *Network) bool { return n.Name == list.Name })
	if i >= 0 {
		if file != "" {
			return fmt.Errorf("network %q is already defined by %s", list.Name, s.networks[i].File)
		}
		return nil // a file overrides the built-in one
	}
	s.networks = append(s.networks, &Network{Name: list.Name, File: file, List: list})
	return nil
}

// ValidName says whether a network can have this name; it becomes part of file names.
func ValidName(s string) bool {
	for i, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || i > 0 && strings.IndexByte("_.-", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= 128 && !strings.Contains(s, "..") && s != "host" && s != "none" && s != "all"
}

// Parse reads one configuration, a list or a single plugin's, which it wraps. The bytes of the result are the whole
// of it, so DEL needs no file. file tells where plugins of a list may be kept beside it (CNI 1.1), "" nowhere.
func Parse(b []byte, file string) (*libcni.NetworkConfigList, error) {
	var head struct {
		Name    string            `json:"name"`
		Type    string            `json:"type"`
		Plugins []json.RawMessage `json:"plugins"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("read as JSON: %w", err)
	}
	if !ValidName(head.Name) {
		return nil, fmt.Errorf("name %q cannot be a network's: letters, digits, -, _ and single dots, not host, none or all", head.Name)
	}
	var list *libcni.NetworkConfigList
	var err error
	if head.Type != "" && head.Plugins == nil {
		var one *libcni.PluginConfig
		if one, err = libcni.NetworkPluginConfFromBytes(b); err == nil {
			list, err = libcni.ConfListFromConf(one)
		}
	} else {
		list, err = libcni.NetworkConfFromBytes(b)
		if err == nil && !list.LoadOnlyInlinedPlugins && file != "" {
			list, err = inline(list, file)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(list.Plugins) == 0 {
		return nil, errors.New("lists no plugins")
	}
	for i, p := range list.Plugins {
		if err := checkTypes(p); err != nil {
			return nil, fmt.Errorf("plugins[%d]: %w", i, err)
		}
	}
	return list, nil
}

// inline puts the plugin files of <dir>/<name>/*.conf into the list itself.
func inline(list *libcni.NetworkConfigList, file string) (*libcni.NetworkConfigList, error) {
	dir := filepath.Join(filepath.Dir(file), list.Name)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(list.Bytes, &doc); err != nil {
		return nil, err
	}
	var plugins []json.RawMessage
	for _, p := range list.Plugins {
		plugins = append(plugins, p.Bytes)
	}
	found := false
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".conf" {
			continue
		}
		b, err := readFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if !json.Valid(b) {
			return nil, fmt.Errorf("%s is not JSON", filepath.Join(dir, e.Name()))
		}
		plugins, found = append(plugins, b), true
	}
	if !found {
		return list, nil
	}
	if doc["plugins"], err = json.Marshal(plugins); err != nil {
		return nil, err
	}
	doc["loadOnlyInlinedPlugins"] = json.RawMessage("true")
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return libcni.NetworkConfFromBytes(b)
}

// checkTypes refuses types that are not bare file names, the IPAM plugin's included.
func checkTypes(p *libcni.PluginConfig) error {
	for what, typ := range map[string]string{"type": p.Network.Type, "ipam.type": p.Network.IPAM.Type} {
		if typ == "" && what != "type" {
			continue
		}
		if typ == "" || typ == "." || typ == ".." || strings.ContainsAny(typ, "/\\\x00") || len(typ) > 255 {
			return fmt.Errorf("%s %q is not a bare file name", what, typ)
		}
	}
	return nil
}

// readFile reads a regular file of bounded size, through a symbolic link if it is one.
func readFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("is not a regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return bytes.TrimSpace(b), err
}
