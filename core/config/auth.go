package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Credential is for one host, as in an image name.
type Credential struct {
	Registry bool // of kind "dockerAuth"
	Host     string
	Username string
	Password string
	Token    string
}

// schemeDocker is the scheme of registries.
const schemeDocker = "docker"

// key tells credentials apart: a host may be a registry and serve other images, too.
func (c *Credential) key() string {
	if c.Registry {
		return schemeDocker + " " + c.Host
	}
	return c.Host
}

// authFile is a file of auth.d, kinds "dockerAuth" and "auth" of version v1 (rkt-features.md IMG-26..28).
type authFile struct {
	Kind        string   `json:"rktKind"`
	Version     string   `json:"rktVersion"`
	Registries  []string `json:"registries"`
	Domains     []string `json:"domains"`
	Type        string   `json:"type"`
	Credentials struct {
		User     string `json:"user"`
		Password string `json:"password"`
		Token    string `json:"token"`
	} `json:"credentials"`
}

// Credentials reads auth.d of both configuration directories; the local one overrides per host. They are those that the
// fetcher of a scheme is told: of registries for "docker", of domains for every other one.
func (c Config) Credentials(scheme string) ([]Credential, error) {
	byKey := map[string]Credential{}
	var order []string
	for _, dir := range []string{c.SystemConfig, c.LocalConfig} {
		found, err := readAuthDir(filepath.Join(dir, "auth.d"))
		if err != nil {
			return nil, invalid(err)
		}
		for _, cred := range found {
			if cred.Registry != (scheme == schemeDocker) {
				continue
			}
			if _, ok := byKey[cred.key()]; !ok {
				order = append(order, cred.key())
			}
			byKey[cred.key()] = cred
		}
	}
	out := make([]Credential, len(order))
	for i, k := range order {
		out[i] = byKey[k]
	}
	return out, nil
}

func readAuthDir(dir string) ([]Credential, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	var out []Credential
	from := map[string]string{}
	for _, e := range entries {
		// Plain *.json at the top level only: editors' leftovers and links are not configuration.
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		creds, err := readAuthFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for _, c := range creds {
			if other, dup := from[c.key()]; dup {
				return nil, fmt.Errorf("read credentials: %s and %s in %s both name %q", other, e.Name(), dir, c.Host)
			}
			from[c.key()] = e.Name()
			out = append(out, c)
		}
	}
	return out, nil
}

func readAuthFile(path string) ([]Credential, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	var f authFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("read credentials %s: %w", path, err)
	}
	hosts := f.Registries
	switch {
	case f.Version != "v1":
		return nil, fmt.Errorf("read credentials %s: rktVersion %q is not v1", path, f.Version)
	case f.Kind == "dockerAuth":
	case f.Kind == "auth" && (f.Type == "basic" || f.Type == "oauth"):
		hosts = f.Domains
	case f.Kind == "auth":
		return nil, fmt.Errorf("read credentials %s: type %q is neither basic nor oauth", path, f.Type)
	default:
		return nil, fmt.Errorf("read credentials %s: rktKind %q does not belong in auth.d", path, f.Kind)
	}
	out := make([]Credential, len(hosts))
	for i, h := range hosts {
		out[i] = Credential{Registry: f.Kind == "dockerAuth", Host: h, Username: f.Credentials.User, Password: f.Credentials.Password, Token: f.Credentials.Token}
	}
	return out, nil
}
