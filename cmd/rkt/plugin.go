package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/manifest"
)

func (a *app) pluginCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugin COMMAND",
		Short: "show the plugins that rkt finds",
		Args:  commandArgs,
		RunE:  func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.pluginListCmd(), a.pluginInspectCmd(), a.pluginCheckCmd())
	return c
}

// pluginJSON is a plugin in plugin list and inspect.
type pluginJSON struct {
	Name       string             `json:"name"`
	Directory  string             `json:"directory"`
	Error      string             `json:"error,omitempty"`
	ShadowedBy string             `json:"shadowed_by,omitempty"`
	Masked     bool               `json:"masked,omitempty"`
	Manifest   *manifest.Manifest `json:"manifest,omitempty"`
}

func newPluginJSON(e *plugin.Entry) pluginJSON {
	p := pluginJSON{Name: e.Name, Directory: e.Dir, ShadowedBy: e.ShadowedBy, Masked: e.Masked, Manifest: e.Manifest}
	if e.Err != nil {
		p.Error = e.Err.Error()
	}
	return p
}

func (a *app) pluginListCmd() *cobra.Command {
	var form string
	var noLegend bool
	c := &cobra.Command{
		Use:   "list [FLAGS]",
		Short: "list plugins with what they provide",
		Long:  `List every plugin that discovery finds, also those that are shadowed, masked or broken, with the reason. Runs none.`,
		Args:  noArgs,
	}
	c.Flags().StringVar(&form, "format", "", "json or json-pretty")
	c.Flags().BoolVar(&noLegend, "no-legend", false, "no header")
	c.RunE = func(*cobra.Command, []string) error {
		if err := format(form).check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		entries := e.Plugins().Entries()
		if form != "" {
			out := []pluginJSON{}
			for _, p := range entries {
				out = append(out, newPluginJSON(&p))
			}
			return printJSON(a.stdout, out, form == "json-pretty")
		}
		var rows [][]string
		for _, p := range entries {
			version, provides := "", ""
			if p.Manifest != nil {
				version, provides = p.Manifest.Version, provisions(p.Manifest)
			}
			rows = append(rows, []string{p.Name, version, provides, pluginState(&p), p.Dir})
		}
		var header []string
		if !noLegend {
			header = []string{"NAME", "VERSION", "PROVIDES", "STATE", "DIRECTORY"}
		}
		return table(a.stdout, header, rows)
	}
	return c
}

func pluginState(p *plugin.Entry) string {
	switch {
	case p.Err != nil:
		return "broken: " + p.Err.Error()
	case p.Masked:
		return "masked"
	case p.ShadowedBy != "":
		return "shadowed by " + p.ShadowedBy
	default:
		return "ok"
	}
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

func (a *app) pluginInspectCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect NAME",
		Short: "show one plugin's manifest",
		Long:  `Show what a plugin says of itself, as JSON. Runs none; rkt plugin check does.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("exactly one plugin name is needed (rkt plugin list shows them)")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			entry, err := e.Plugin(args[0])
			if err != nil {
				return err
			}
			return printJSON(a.stdout, newPluginJSON(entry), true)
		},
	}
}
