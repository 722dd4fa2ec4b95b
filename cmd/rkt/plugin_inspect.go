package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/plugin"
)

// pluginDetailJSON is plugin inspect.
type pluginDetailJSON struct {
	pluginJSON
	Digest      string               `json:"digest,omitempty"`     // of all files together: what plugins.lock and the pods' plugins.json name
	Files       map[string]string    `json:"files"`                // plugin.json, exec and programs to their SHA-256
	Others      []pluginJSON         `json:"others"`               // of the same name, in order: shadowed or broken
	Pods        int                  `json:"pods"`                 // that hold any version of it
	OtherPods   int                  `json:"other_pods,omitempty"` // of them, those that hold other bytes than these
	ConfigFile  string               `json:"config_file,omitempty"`
	ConfigState engine.SettingsState `json:"config_state,omitempty"` // absent: the plugin or its schema cannot be read
	LastFailure *int64               `json:"last_failure,omitempty"` // ns since 1970; plugin logs shows it
}

func (a *app) pluginInspectCmd() *cobra.Command {
	var form string
	c := &cobra.Command{
		Use:   "inspect [FLAGS] NAME",
		Short: "show all that is known of one plugin",
		Long: `Show what a plugin says of itself, where it was found and which others of its name are hidden by it, its files with
their SHA-256, how it stands to plugins.lock and to its configuration's schema, and how many pods hold it. Runs none;
rkt plugin check does.`,
		Args:              onePlugin,
		ValidArgsFunction: a.completePlugins,
	}
	c.Flags().StringVar(&form, "format", "", "json or json-pretty")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := format(form).check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		entry, err := e.Plugin(args[0])
		if err != nil {
			return err
		}
		detail, err := inspect(e, entry)
		if err != nil {
			return err
		}
		if form != "" {
			return format(form).print(a.stdout, detail)
		}
		printPlugin(a.stdout, detail)
		return nil
	}
	return c
}

func inspect(e *engine.Engine, entry *plugin.Entry) (pluginDetailJSON, error) {
	out := pluginDetailJSON{pluginJSON: newPluginJSON(e, entry), Files: map[string]string{}, Others: []pluginJSON{}}
	for _, other := range e.Plugins().Entries() {
		if other.Name == entry.Name && other.Dir != entry.Dir {
			out.Others = append(out.Others, newPluginJSON(e, &other))
		}
	}
	uses, err := e.PluginUses(entry.Name)
	if err != nil {
		e.Observer.Warn(err.Error())
	}
	pods, others := map[string]bool{}, map[string]bool{}
	for _, u := range uses {
		for _, p := range u.Pods {
			pods[p.UUID] = true
			if !u.Installed {
				others[p.UUID] = true
			}
		}
	}
	out.Pods, out.OtherPods = len(pods), len(others)
	last, err := e.Failures().Read(entry.Name)
	if err == nil {
		out.LastFailure = unixNano(last.Time)
	} else if !errors.Is(err, fs.ErrNotExist) {
		e.Observer.Warn(err.Error())
	}
	if out.State != pluginOK && out.State != pluginRefused {
		return out, nil
	}
	if sums, digest, err := e.Sums(entry); err == nil { // else the state says what is wrong with the files
		out.Files, out.Digest = sums, digest
	}
	settings, err := e.CheckSettings([]string{entry.Name})
	if err != nil {
		e.Observer.Warn(err.Error())
		return out, nil
	}
	out.ConfigFile, out.ConfigState = settings[0].File, settings[0].State
	return out, nil
}

func printPlugin(w io.Writer, d pluginDetailJSON) {
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s=%s\n", key, oneLine(value))
		}
	}
	line("name", d.Name)
	line("directory", d.Directory)
	line("state", stateText(d.pluginJSON))
	if m := d.Manifest; m != nil && !d.Masked {
		line("version", m.Version)
		line("vendor", m.Vendor)
		for _, p := range m.Provides {
			line("provides", fmt.Sprintf("%s protocol %s", p.Service, join(p.Protocols)))
			line("flavor", p.Flavor)
			line("schemes", strings.Join(p.Schemes, " "))
			line("media-types", strings.Join(p.MediaTypes, " "))
			line("types", strings.Join(p.Types, " "))
			line("capabilities", strings.Join(p.Capabilities, " "))
		}
		if r := m.Requires; r != nil {
			line("requires-devices", strings.Join(r.Devices, " "))
			line("requires-binaries", strings.Join(r.Binaries, " "))
		}
	}
	pin := string(d.Pin)
	if pin == "" {
		pin = "no"
	}
	line("pinned", pin)
	line("digest", d.Digest)
	for _, name := range slices.Sorted(maps.Keys(d.Files)) {
		line("sha256-"+name, d.Files[name])
	}
	line("config-file", d.ConfigFile)
	line("config", string(d.ConfigState))
	line("pods", heldBy(d))
	for _, o := range d.Others {
		line("also-in", o.Directory+" ("+stateText(o)+")")
	}
	if d.LastFailure != nil {
		line("last-failure", "rkt plugin logs "+d.Name)
	}
}

// heldBy says how many pods hold the plugin, and when some hold another version or copy, how many hold which.
func heldBy(d pluginDetailJSON) string {
	if d.OtherPods == 0 {
		return fmt.Sprint(d.Pods)
	}
	return fmt.Sprintf("%d (%d hold this one, %d another: rkt plugin in-use %s)", d.Pods, d.Pods-d.OtherPods, d.OtherPods, d.Name)
}

func join[T any](list []T) string {
	var s []string
	for _, v := range list {
		s = append(s, fmt.Sprint(v))
	}
	return strings.Join(s, " ")
}
