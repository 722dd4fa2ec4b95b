package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/manifest"
)

func (a *app) pluginCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugin COMMAND",
		Short: "show, check, pin and begin plugins",
		Long: `rkt itself neither fetches, verifies, connects nor runs: plugins do, each a directory with a binary and a
plugin.json, found in a search path. These commands show which there are and why one is not used, hold them to what
was checked, and begin a new one.`,
		Example: `  rkt plugin list
  rkt plugin check stage1-qemu
  rkt plugin pin stage1-linux network-cni`,
		Args: commandArgs,
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.pluginListCmd(), a.pluginInspectCmd(), a.pluginCheckCmd(), a.pluginPinCmd(), a.pluginUnpinCmd(),
		a.pluginInUseCmd(), a.pluginConfigCmd(), a.pluginLogsCmd(), a.pluginNewCmd())
	return c
}

// pluginJSON is a plugin in plugin list and inspect.
type pluginJSON struct {
	Name       string             `json:"name"`
	Directory  string             `json:"directory"`
	State      pluginState        `json:"state"`
	Error      string             `json:"error,omitempty"`
	ShadowedBy string             `json:"shadowed_by,omitempty"`
	Masked     bool               `json:"masked,omitempty"`
	Pin        engine.PinState    `json:"pin,omitempty"` // absent: plugins.lock does not have it
	Manifest   *manifest.Manifest `json:"manifest,omitempty"`
}

// pluginState says whether a plugin is used.
type pluginState string

// The states.
const (
	pluginOK       pluginState = "ok"
	pluginRefused  pluginState = "refused" // its owners or modes, or plugins.lock
	pluginBroken   pluginState = "broken"  // its plugin.json, or a binary that is none
	pluginMasked   pluginState = "masked"
	pluginShadowed pluginState = "shadowed"
)

// newPluginJSON looks at the plugin's files and runs none.
func newPluginJSON(e *engine.Engine, p *plugin.Entry) pluginJSON {
	out := pluginJSON{Name: p.Name, Directory: p.Dir, ShadowedBy: p.ShadowedBy, Masked: p.Masked, Manifest: p.Manifest}
	switch {
	case p.Err != nil:
		out.State, out.Error = pluginBroken, p.Err.Error()
		return out
	case p.ShadowedBy != "":
		out.State = pluginShadowed
		return out
	case p.Masked:
		out.State = pluginMasked
		return out
	}
	pin, err := e.PinState(p)
	out.Pin = pin
	if terr := e.Runnable(p); terr != nil {
		err = terr
	}
	if err == nil {
		err = e.Admitted(p)
	}
	out.State = pluginOK
	if err != nil {
		out.State, out.Error = pluginRefused, reasonOf(err)
		if errors.Is(err, plugin.ErrNoProgram) {
			out.State = pluginBroken
		}
	}
	return out
}

// reasonOf is an error without the plugin's name, which stands beside it.
func reasonOf(err error) string {
	var perr *plugin.Error
	if errors.As(err, &perr) {
		return perr.Message
	}
	return err.Error()
}

func (a *app) pluginListCmd() *cobra.Command {
	var form string
	var noLegend bool
	c := &cobra.Command{
		Use:   "list [FLAGS]",
		Short: "list plugins with what they provide",
		Long: `List every plugin that discovery finds, and runs none. STATE says which are used:

  ok         it is used where what it PROVIDES is wanted
  refused    its files can be changed by others than root, or are not those that plugins.lock names
  broken     its plugin.json is missing or wrong, and it hides no other of its name; or its binary is no program
  shadowed   another one of its name comes first in the search path
  masked     no plugin: it hides those of its name in later directories (ln -s /dev/null /etc/rkt/plugins.d/NAME)

Why a plugin is not used is below the table, or alone in 'rkt plugin inspect NAME'.

PIN is "pinned" where plugins.lock has the name and the bytes are its, "differs" where they are not.`,
		Args: noArgs,
	}
	c.Flags().StringVar(&form, "format", "", "json or json-pretty")
	c.Flags().BoolVar(&noLegend, "no-legend", false, "no header, and no reasons below")
	c.RunE = func(*cobra.Command, []string) error {
		if err := format(form).check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		out := []pluginJSON{}
		for _, p := range e.Plugins().Entries() {
			out = append(out, newPluginJSON(e, &p))
		}
		if form != "" {
			return format(form).print(a.stdout, out)
		}
		var header []string
		if !noLegend {
			header = []string{"NAME", "VERSION", "PROVIDES", "STATE", "PIN", "DIRECTORY"}
		}
		if err := table(a.stdout, header, pluginRows(out)); err != nil || noLegend {
			return err
		}
		return explain(a.stdout, out)
	}
	return c
}

func pluginRows(plugins []pluginJSON) [][]string {
	var rows [][]string
	for _, p := range plugins {
		version, provides, pin := "-", "-", "-"
		if p.Manifest != nil && !p.Masked {
			version, provides = p.Manifest.Version, provisions(p.Manifest)
		}
		if p.Pin != "" {
			pin = string(p.Pin)
		}
		rows = append(rows, []string{p.Name, version, provides, string(p.State), pin, p.Directory})
	}
	return rows
}

// stateText is a state with its reason.
func stateText(p pluginJSON) string {
	switch {
	case p.Error != "":
		return string(p.State) + ": " + p.Error
	case p.ShadowedBy != "":
		return string(p.State) + " by " + p.ShadowedBy
	}
	return string(p.State)
}

// explain says why plugins are not used. In the table it would make every row as long as the longest reason.
func explain(w io.Writer, plugins []pluginJSON) error {
	var b strings.Builder
	for _, p := range plugins {
		switch {
		case p.Error != "":
			fmt.Fprintf(&b, "%s %s: %s\n", p.Name, p.State, oneLine(p.Error))
		case p.ShadowedBy != "":
			fmt.Fprintf(&b, "%s of %s %s by %s\n", p.Name, p.Directory, p.State, p.ShadowedBy)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(w, "\n"+b.String())
	return err
}

func provisions(m *manifest.Manifest) string {
	var out []string
	for _, p := range m.Provides {
		s := strings.TrimPrefix(p.Service, "rkt.")
		var of []string
		if p.Flavor != "" {
			of = append(of, p.Flavor)
		}
		of = append(append(of, p.Schemes...), p.Types...)
		if len(of) > 0 {
			s += "(" + strings.Join(of, " ") + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// onePlugin wants exactly one name.
func onePlugin(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("exactly one plugin name is needed (rkt plugin list shows them)")
	}
	return nil
}

// somePlugins wants at least one name.
func somePlugins(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("a plugin name is needed (rkt plugin list shows them)")
	}
	return nil
}

// completePlugins offers the names that a shell may complete to: those of plugins that are there.
func (a *app) completePlugins(_ *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	e, err := a.engine()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, p := range e.Plugins().Entries() {
		if p.Err != nil || p.ShadowedBy != "" || p.Masked || slices.Contains(given, p.Name) {
			continue
		}
		names = append(names, cobra.CompletionWithDesc(p.Name, provisions(p.Manifest)))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
