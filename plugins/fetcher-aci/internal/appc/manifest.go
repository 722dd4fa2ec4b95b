package appc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// Kind is the acKind of an image manifest.
const Kind = "ImageManifest"

// MaxManifestBytes bounds a manifest.
const MaxManifestBytes = 4 << 20

// Parse decodes and checks an image manifest. Unknown fields are ignored, as the specification wants.
func Parse(b []byte) (*Manifest, error) {
	if len(b) > MaxManifestBytes {
		return nil, fmt.Errorf("parse image manifest: %d bytes are more than %d", len(b), MaxManifestBytes)
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("parse image manifest: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse image manifest: more than one JSON value in it")
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("parse image manifest: %w", err)
	}
	return &m, nil
}

func (m *Manifest) check() error {
	if m.ACKind != Kind {
		return fmt.Errorf("acKind is %q instead of %q", m.ACKind, Kind)
	}
	if !semverRE.MatchString(m.ACVersion) {
		return fmt.Errorf("acVersion %q is no semantic version", m.ACVersion)
	}
	if !acIdentifierRE.MatchString(m.Name) || len(m.Name) > maxName {
		return fmt.Errorf("name %q is no AC identifier of at most %d characters", clip(m.Name), maxName)
	}
	if err := m.Labels.check("labels"); err != nil {
		return err
	}
	if _, ok := m.Labels.Get("name"); ok {
		return errors.New(`labels: "name" is not allowed, it is the image's name`)
	}
	if err := m.Annotations.check("annotations"); err != nil {
		return err
	}
	if created, ok := m.Annotations.Get("created"); ok {
		if _, err := time.Parse(time.RFC3339, created); err != nil {
			return fmt.Errorf("annotations: created: %w", err)
		}
	}
	for _, d := range m.Dependencies {
		if !acIdentifierRE.MatchString(d.ImageName) {
			return fmt.Errorf("dependencies: %q is no AC identifier", clip(d.ImageName))
		}
	}
	for _, p := range m.PathWhitelist {
		if !path.IsAbs(p) {
			return fmt.Errorf("pathWhitelist: %q is not absolute", clip(p))
		}
	}
	if m.App != nil {
		if err := m.App.check(); err != nil {
			return fmt.Errorf("app: %w", err)
		}
	}
	return nil
}

func (a *App) check() error {
	if len(a.Exec) > 0 && a.Exec[0] == "" {
		return errors.New("exec: the command is empty")
	}
	if a.User == "" || a.Group == "" {
		return errors.New("user and group are required")
	}
	if a.WorkingDirectory != "" && !path.IsAbs(a.WorkingDirectory) {
		return fmt.Errorf("workingDirectory %q is not absolute", clip(a.WorkingDirectory))
	}
	if err := noNUL(append(append([]string{}, a.Exec...), a.User, a.Group, a.WorkingDirectory)); err != nil {
		return err
	}
	env := set{}
	for _, e := range a.Environment {
		if !envNameRE.MatchString(e.Name) || !env.add(e.Name) {
			return fmt.Errorf("environment: %q is there twice or no name of a variable", clip(e.Name))
		}
		if err := noNUL([]string{e.Value}); err != nil {
			return fmt.Errorf("environment: %s: %w", e.Name, err)
		}
	}
	events := set{}
	for _, h := range a.EventHandlers {
		if h.Name != "pre-start" && h.Name != "post-stop" || !events.add(h.Name) {
			return fmt.Errorf("eventHandlers: %q is there twice or neither pre-start nor post-stop", clip(h.Name))
		}
		if len(h.Exec) == 0 || h.Exec[0] == "" {
			return fmt.Errorf("eventHandlers: %s: no command", h.Name)
		}
		if err := noNUL(h.Exec); err != nil {
			return fmt.Errorf("eventHandlers: %s: %w", h.Name, err)
		}
	}
	mounts := set{}
	for _, p := range a.MountPoints {
		if !acNameRE.MatchString(p.Name) || !mounts.add(p.Name) {
			return fmt.Errorf("mountPoints: %q is there twice or no AC name", clip(p.Name))
		}
		if !path.IsAbs(p.Path) || noNUL([]string{p.Path}) != nil {
			return fmt.Errorf("mountPoints: %s: path %q is not absolute", p.Name, clip(p.Path))
		}
	}
	return a.checkRest()
}

func (a *App) checkRest() error {
	ports := set{}
	for _, p := range a.Ports {
		if !acNameRE.MatchString(p.Name) || !ports.add(p.Name) {
			return fmt.Errorf("ports: %q is there twice or no AC name", clip(p.Name))
		}
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			return fmt.Errorf("ports: %s: protocol %q is neither tcp nor udp", p.Name, clip(p.Protocol))
		}
		if p.Port == 0 || int(p.Port)+max(int(p.Count), 1)-1 > 65535 {
			return fmt.Errorf("ports: %s: port %d with count %d is out of range", p.Name, p.Port, p.Count)
		}
	}
	for _, i := range a.Isolators {
		if !acIdentifierRE.MatchString(i.Name) {
			return fmt.Errorf("isolators: %q is no AC identifier", clip(i.Name))
		}
	}
	return nil
}

type set map[string]bool

// add says whether s is new.
func (x set) add(s string) bool {
	if x[s] {
		return false
	}
	x[s] = true
	return true
}

// noNUL: such a string cannot be handed to the kernel, which would cut it.
func noNUL(ss []string) error {
	for _, s := range ss {
		if strings.ContainsRune(s, 0) {
			return errors.New("a string holds a NUL")
		}
	}
	return nil
}

// clip bounds what a hostile document can put into a message.
func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
