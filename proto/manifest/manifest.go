// Package manifest is plugin.json: the static description beside a plugin's binary, so that discovery reads
// files and never runs anything. The binary prints it at build time (`rkt-<name> manifest`), and Describe must
// say the same. It uses the standard library alone.
//
// The file has schema 1 and every key without "omitempty" below (PL-FILE-01). The plugin's directory is called as the
// plugin (PL-FILE-02) and holds exec and programs: regular files, no symbolic links, executable by everybody
// (PL-FILE-03). exec is an ELF binary for the machine, or of a fetcher or verifier a script (launch.Script); so is each
// program that is a binary (PL-FILE-04). None has a dynamic linker, because a pod goes on with a copy of these files alone
// (PL-FILE-05). None is setuid or setgid or has capabilities (PL-FILE-06). Neither the directory nor any file of it, which
// plugin.json may name or not, can be written by group or others (PL-FILE-07). A service of rkt's speaks protocol 1 and
// names what core chooses by: a fetcher its schemes, a verifier its media types, a stage1 its flavor (PL-FILE-08). The
// version is semver (PL-FILE-09). config_schema, when it is there, is a JSON document of the directory (PL-FILE-10).
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Schema is the version of plugin.json.
const Schema = 1

// FileName is the manifest's name in a plugin's directory.
const FileName = "plugin.json"

// SchemaFileName is what the sdk calls the JSON schema of a plugin's configuration, beside plugin.json.
const SchemaFileName = "config.schema.json"

// Services a plugin can provide.
const (
	ServiceFetcher  = "rkt.fetcher"
	ServiceVerifier = "rkt.verifier"
	ServiceNetwork  = "rkt.network"
	ServiceStage1   = "rkt.stage1"
)

// Manifest is plugin.json.
type Manifest struct {
	Schema  int    `json:"schema"`
	Name    string `json:"name"`    // equals the directory's name
	Version string `json:"version"` // semver
	Vendor  string `json:"vendor,omitempty"`
	Exec    string `json:"exec"` // the gRPC binary: a file name, no path
	// Programs are further executables of the directory that belong to the plugin: a stage1's supervisor, the
	// CNI binaries that a network plugin drives. They are pinned with it. File names, no paths.
	Programs     []string    `json:"programs,omitempty"`
	Provides     []Provision `json:"provides,omitempty"`
	Requires     *Requires   `json:"requires,omitempty"`
	ConfigSchema string      `json:"config_schema,omitempty"` // file name of its configuration's JSON schema, no path
	Masked       bool        `json:"masked,omitempty"`        // hides plugins of this name in later directories
}

// Provision is one service of a plugin.
type Provision struct {
	Service      string   `json:"service"`
	Protocols    []uint32 `json:"protocols"`
	Flavor       string   `json:"flavor,omitempty"`
	Schemes      []string `json:"schemes,omitempty"`
	MediaTypes   []string `json:"media_types,omitempty"`
	Types        []string `json:"types,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
}

// Requires says what the host must have, for `rkt plugin check`.
type Requires struct {
	Devices  []string `json:"devices,omitempty"`
	Binaries []string `json:"binaries,omitempty"`
}

// ValidName says whether s can name a plugin: [a-z][a-z0-9-]{0,62}. It is written out because compiling a
// regular expression at start costs every plugin and every command a third of a millisecond.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Parse decodes and checks plugin.json. Unknown keys are ignored: a later minor may add some.
func Parse(b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("parse %s: %w", FileName, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("parse %s: %w", FileName, err)
	}
	return &m, nil
}

func (m *Manifest) check() error {
	if m.Schema != Schema {
		return fmt.Errorf("schema is %d, this rkt reads %d", m.Schema, Schema)
	}
	if !ValidName(m.Name) {
		return fmt.Errorf("name %q is not of the form [a-z][a-z0-9-]{0,62}", m.Name)
	}
	if m.Masked {
		return nil
	}
	files := append([]string{m.Exec}, m.Programs...)
	if m.ConfigSchema != "" {
		files = append(files, m.ConfigSchema)
	}
	for _, f := range files {
		if f == "" || f == "." || f == ".." || strings.ContainsAny(f, "/\x00") {
			return fmt.Errorf("%q is not a bare file name", f)
		}
	}
	if len(m.Provides) == 0 {
		return errors.New("provides nothing")
	}
	for _, p := range m.Provides {
		known := []string{ServiceFetcher, ServiceVerifier, ServiceNetwork, ServiceStage1}
		if slices.Contains(known, p.Service) && len(p.Protocols) == 0 {
			return fmt.Errorf("%s: no protocols", p.Service)
		}
	}
	return nil
}

// Provision returns the plugin's provision of service, or nil.
func (m *Manifest) Provision(service string) *Provision {
	for i := range m.Provides {
		if m.Provides[i].Service == service {
			return &m.Provides[i]
		}
	}
	return nil
}
