package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/reason"
)

// findingJSON is one answer of a plugin about this host.
type findingJSON struct {
	Plugin   string `json:"plugin"`
	ID       string `json:"id"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`
	Summary  string `json:"summary,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
}

func (a *app) pluginCheckCmd() *cobra.Command {
	var form string
	c := &cobra.Command{
		Use:   "check [FLAGS] [NAME...]",
		Short: "ask plugins whether this host has what they need",
		Long: `Start the named plugins, or all that rkt would use, hand each its configuration, and show what it finds on this
host, with the line that mends what is missing. Fails when something is missing without which a plugin cannot work.`,
		ValidArgsFunction: a.completePlugins,
	}
	c.Flags().StringVar(&form, "format", "", "json or json-pretty")
	c.RunE = func(cmd *cobra.Command, names []string) error {
		if err := format(form).check(); err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		entries, err := toCheck(e, names)
		if err != nil {
			return err
		}
		found := []findingJSON{}
		unfit := 0
		for _, entry := range entries {
			one, fit := check(cmd.Context(), e, entry)
			found = append(found, one...)
			if !fit {
				unfit++
			}
		}
		if form != "" {
			err = format(form).print(a.stdout, found)
		} else {
			err = table(a.stdout, []string{"PLUGIN", "CHECK", "STATE", "FINDING"}, findingRows(found))
		}
		if err == nil && unfit > 0 {
			err = &plugin.Error{Reason: reason.HostUnfit, Message: plural(unfit, "plugin") + " cannot work on this host as it is"}
		}
		return err
	}
	return c
}

func toCheck(e *engine.Engine, names []string) ([]*plugin.Entry, error) {
	var out []*plugin.Entry
	for _, name := range names {
		entry, err := e.Plugin(name)
		if err != nil {
			return nil, err
		}
		out = append(out, entry)
	}
	if len(names) > 0 {
		return out, nil
	}
	for _, entry := range e.Plugins().Entries() {
		if !entry.Masked && entry.ShadowedBy == "" {
			out = append(out, &entry)
		}
	}
	return out, nil
}

// check asks one plugin. That it cannot be asked is a finding like any other.
func check(ctx context.Context, e *engine.Engine, entry *plugin.Entry) (found []findingJSON, fit bool) {
	if entry.Err != nil {
		return []findingJSON{{Plugin: entry.Name, ID: "plugin", Required: true, Summary: entry.Err.Error()}}, false
	}
	answers, err := e.ProbePlugin(ctx, entry)
	started := findingJSON{Plugin: entry.Name, ID: "start", OK: err == nil, Required: true, Summary: "starts and says what it is"}
	if err != nil {
		started.Summary = err.Error()
		var perr *plugin.Error
		if errors.As(err, &perr) {
			started.Summary = perr.Message
		}
	}
	found, fit = append(found, started), err == nil
	for _, f := range append(engine.Requirements(entry), answers...) {
		found = append(found, findingJSON{
			Plugin: entry.Name, ID: f.GetId(), OK: f.GetOk(), Required: f.GetRequired(), Summary: f.GetSummary(), Remedy: f.GetRemedy(),
		})
		fit = fit && (f.GetOk() || !f.GetRequired())
	}
	return found, fit
}

// findingRows has what mends a thing in a row of its own: findings are sentences.
func findingRows(found []findingJSON) [][]string {
	var rows [][]string
	for _, f := range found {
		state := "ok"
		switch {
		case !f.OK && f.Required:
			state = "missing"
		case !f.OK:
			state = "optional"
		}
		rows = append(rows, []string{f.Plugin, f.ID, state, f.Summary})
		if !f.OK && f.Remedy != "" {
			rows = append(rows, []string{"", "", "remedy", f.Remedy})
		}
	}
	return rows
}
