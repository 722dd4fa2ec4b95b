package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// Kinds in plugins.json.
const (
	kindStage1  = "stage1"
	kindNetwork = "network"
)

// pinPlugins copies the plugins that the pod will need for as long as it exists, by digest, and records them
// in plugins.json. It returns the copy of the last one given.
func (e *Engine) pinPlugins(p *pod.Pod, entries map[string]*plugin.Entry) (*plugin.Entry, error) {
	rec := poddir.Plugins{Schema: poddir.Schema, Plugins: map[string]poddir.PinnedPlugin{}}
	if err := poddir.ReadJSON(p.Path(), poddir.PluginsFile, &rec); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var pinned *plugin.Entry
	for kind, entry := range entries {
		digest, err := e.pins().Pin(entry)
		if err != nil {
			return nil, err
		}
		rec.Plugins[kind] = poddir.PinnedPlugin{Name: entry.Name, Version: entry.Manifest.Version, Digest: digest, Protocol: launch.Protocol}
		if pinned, err = e.pins().Entry(digest); err != nil {
			return nil, err
		}
	}
	if err := poddir.WriteJSON(p.Path(), poddir.PluginsFile, rec); err != nil {
		return nil, fmt.Errorf("record plugins of pod %s: %w", p.UUID, err)
	}
	return pinned, nil
}

// pinned returns the pod's own copy of a kind of plugin; nil when it has none.
func (e *Engine) pinned(podDir, kind string) (*plugin.Entry, error) {
	var rec poddir.Plugins
	if err := poddir.ReadJSON(podDir, poddir.PluginsFile, &rec); err != nil {
		return nil, err
	}
	p, ok := rec.Plugins[kind]
	if !ok {
		return nil, nil
	}
	return e.pins().Entry(p.Digest)
}

func mkdir(p *pod.Pod, name string, mode os.FileMode) error {
	if err := os.Mkdir(filepath.Join(p.Path(), name), mode); err != nil {
		return fmt.Errorf("make pod %s: %w", p.UUID, err)
	}
	return nil
}
