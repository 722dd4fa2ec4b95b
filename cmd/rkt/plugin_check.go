package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/reason"
)

// findingJSON is one answer of a plugin about this host.
type findingJSON struct {
	Plugin   string       `json:"plugin"`
	ID       string       `json:"id"`
	OK       bool         `json:"ok"`
	Required bool         `json:"required"`
	State    findingState `json:"state"`
	Summary  string       `json:"summary,omitempty"`
	Log      []string     `json:"log,omitempty"` // of a crash: the last lines that it wrote
	Remedy   string       `json:"remedy,omitempty"`
}

// findingState says whose fault it is: the host's, the installation's, or the plugin's own.
type findingState string

// The states.
const (
	findingOK       findingState = "ok"
	findingOptional findingState = "optional" // the host lacks it, and the plugin works without
	findingMissing  findingState = "missing"  // the host lacks it
	findingRefused  findingState = "refused"  // rkt does not run it: owners, modes, plugins.lock, or it is not what it says
	findingInvalid  findingState = "invalid"  // it does not take its configuration
	findingBroken   findingState = "broken"   // no program, or one that does not keep to the protocol
	findingCrashed  findingState = "crashed"
)

func (a *app) pluginCheckCmd() *cobra.Command {
	var form string
	c := &cobra.Command{
		Use:   "check [FLAGS] [NAME...]",
		Short: "ask plugins whether this host has what they need",
		Long: `Start the named plugins, or all that rkt would use, hand each its configuration, and show what it finds on this
host, with the line that mends what is missing. Fails when something is missing without which a plugin cannot work, and
when one cannot be started. STATE says whose fault it is:

  ok         it is there
  optional   this host lacks it, and the plugin works without
  missing    this host lacks it, and the plugin cannot work
  refused    rkt does not run the plugin: its owners or modes, plugins.lock, or it is not what its plugin.json says
  invalid    the plugin does not take its configuration
  broken     its plugin.json is wrong, its binary is no program, or it does not keep to the protocol
  crashed    it ended when it was started; its last lines follow, and rkt plugin logs NAME has the rest`,
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
		for _, entry := range entries {
			found = append(found, check(cmd.Context(), e, entry)...)
		}
		if form != "" {
			err = format(form).print(a.stdout, found)
		} else {
			err = table(a.stdout, []string{"PLUGIN", "CHECK", "STATE", "FINDING"}, findingRows(found))
		}
		if err == nil {
			err = verdict(found)
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
func check(ctx context.Context, e *engine.Engine, entry *plugin.Entry) []findingJSON {
	if entry.Err != nil {
		return []findingJSON{{Plugin: entry.Name, ID: "plugin", Required: true, State: findingBroken, Summary: entry.Err.Error()}}
	}
	answers, err := e.ProbePlugin(ctx, entry)
	found := []findingJSON{startFinding(entry.Name, err)}
	for _, f := range append(engine.Requirements(entry), answers...) {
		one := findingJSON{
			Plugin: entry.Name, ID: f.GetId(), OK: f.GetOk(), Required: f.GetRequired(), State: findingOK, Summary: f.GetSummary(), Remedy: f.GetRemedy(),
		}
		switch {
		case !one.OK && one.Required:
			one.State = findingMissing
		case !one.OK:
			one.State = findingOptional
		}
		found = append(found, one)
	}
	return found
}

// startFinding says whether the plugin could be asked at all, and if not, why.
func startFinding(name string, err error) findingJSON {
	f := findingJSON{Plugin: name, ID: "start", OK: err == nil, Required: true, State: findingOK, Summary: "starts and says what it is"}
	if err == nil {
		return f
	}
	f.State, f.Summary = findingBroken, err.Error()
	var perr *plugin.Error
	if !errors.As(err, &perr) {
		return f
	}
	f.Summary, f.Log = perr.Message, perr.LastLog
	if perr.LogFile != "" {
		f.Remedy = "rkt plugin logs " + name + " shows what it wrote"
	}
	switch {
	case errors.Is(err, plugin.ErrNoProgram):
	case perr.Reason == reason.PluginRefused:
		f.State = findingRefused
	case perr.Reason == reason.PluginCrashed:
		f.State = findingCrashed
	case perr.Reason == reason.ConfigInvalid:
		f.State = findingInvalid
	case perr.Reason == reason.HostUnfit:
		f.State = findingMissing
	}
	return f
}

// verdict is the error that says how many plugins cannot be used, and whether it is the host's fault.
func verdict(found []findingJSON) error {
	states := map[findingState][]string{}
	for _, f := range found {
		if !f.OK && f.Required && !slices.Contains(states[f.State], f.Plugin) {
			states[f.State] = append(states[f.State], f.Plugin)
		}
	}
	var parts []string
	out := &plugin.Error{Reason: reason.HostUnfit}
	if n := len(states[findingMissing]); n > 0 {
		parts = append(parts, plural(n, "plugin")+" cannot work on this host as it is")
	}
	for _, s := range []findingState{findingRefused, findingInvalid, findingBroken, findingCrashed} {
		if len(states[s]) == 0 {
			continue
		}
		out.Reason = reason.PluginRefused
		is := " is "
		if len(states[s]) > 1 {
			is = " are "
		}
		what := string(s)
		switch s {
		case findingInvalid:
			what = "not configured rightly"
		case findingCrashed:
			is = " "
		}
		parts = append(parts, strings.Join(states[s], ", ")+is+what)
	}
	if len(parts) == 0 {
		return nil
	}
	out.Message = strings.Join(parts, "; ")
	return out
}

// findingRows has what a plugin wrote and what mends a thing in rows of their own: findings are sentences.
func findingRows(found []findingJSON) [][]string {
	var rows [][]string
	for _, f := range found {
		rows = append(rows, []string{f.Plugin, f.ID, string(f.State), f.Summary})
		for _, line := range f.Log {
			rows = append(rows, []string{"", "", "log", line})
		}
		if !f.OK && f.Remedy != "" {
			rows = append(rows, []string{"", "", "remedy", f.Remedy})
		}
	}
	return rows
}
