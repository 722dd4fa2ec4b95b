package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/core/schema"
	"github.com/rkt/rkt/v2/proto/reason"
)

// configCheckJSON is one plugin in plugin config check.
type configCheckJSON struct {
	Plugin   string               `json:"plugin"`
	File     string               `json:"file"`
	Schema   string               `json:"schema,omitempty"`
	State    engine.SettingsState `json:"state"`
	Findings []configFindingJSON  `json:"findings"`
}

// configFindingJSON is one thing that is wrong with a configuration.
type configFindingJSON struct {
	Pointer string `json:"pointer"` // RFC 6901; empty for the whole document
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Summary string `json:"summary"`
}

func (a *app) pluginConfigCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "config COMMAND",
		Short: "check the configurations of plugins",
		Args:  commandArgs,
		RunE:  func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.pluginConfigCheckCmd())
	return c
}

func (a *app) pluginConfigCheckCmd() *cobra.Command {
	var form string
	c := &cobra.Command{
		Use:   "check [FLAGS] [NAME...]",
		Short: "hold plugins' configurations against their schemas",
		Long: `Hold plugins/NAME.json of the local configuration against the JSON schema that the plugin ships, for the named plugins
or for every file and every plugin that has a schema. Runs no plugin: it says what the plugin would refuse, before it
is needed. A finding names the place as a JSON pointer and what can be there.

  valid       nothing is wrong
  invalid     the plugin will refuse it
  absent      there is no file: the plugin's defaults count; a finding is what the schema wants all the same
  no schema   the plugin ships none; rkt plugin check NAME asks the plugin itself
  orphan      a file for which there is no plugin: nobody reads it

The schema is read whoever may write it: rkt plugin check says whether the plugin is used at all.
Fails when a configuration is invalid. Of an orphan, which a removed package leaves, it warns.`,
		ValidArgsFunction: a.completePlugins,
	}
	c.Flags().StringVar(&form, "format", "", "json or json-pretty")
	c.RunE = func(_ *cobra.Command, names []string) error {
		if err := format(form).check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		checked, err := e.CheckSettings(names)
		if err != nil {
			return err
		}
		out, bad, orphans := []configCheckJSON{}, 0, 0
		for _, s := range checked {
			out = append(out, newConfigCheckJSON(s))
			switch s.State {
			case engine.SettingsInvalid:
				bad++
			case engine.SettingsOrphan:
				orphans++
			}
		}
		if form != "" {
			err = format(form).print(a.stdout, out)
		} else {
			err = table(a.stdout, []string{"PLUGIN", "STATE", "FILE", "FINDING"}, configRows(out))
		}
		if err == nil && orphans > 0 {
			e.Observer.Warn(plural(orphans, "configuration") + " of no plugin: nobody reads it until a plugin of the name can be used")
		}
		if err == nil && bad > 0 {
			err = &plugin.Error{Reason: reason.ConfigInvalid, Message: plural(bad, "configuration") + " cannot be used"}
		}
		return err
	}
	return c
}

func newConfigCheckJSON(s engine.Settings) configCheckJSON {
	out := configCheckJSON{Plugin: s.Plugin, File: s.File, Schema: s.Schema, State: s.State, Findings: []configFindingJSON{}}
	for _, f := range s.Findings {
		out.Findings = append(out.Findings, configFindingJSON(f))
	}
	return out
}

// configRows have one row a finding.
func configRows(checked []configCheckJSON) [][]string {
	var rows [][]string
	for _, c := range checked {
		row := []string{c.Plugin, string(c.State), c.File, "-"}
		for _, f := range c.Findings {
			row[3] = findingText(schema.Finding(f))
			rows = append(rows, row)
			row = []string{"", "", "", ""}
		}
		if len(c.Findings) == 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

func findingText(f schema.Finding) string {
	switch {
	case f.Line > 0:
		return fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, f.Summary)
	case f.Pointer != "":
		return f.Pointer + ": " + f.Summary
	}
	return f.Summary
}
