package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/failure"
)

// pluginFailureJSON is one failure in plugin logs.
type pluginFailureJSON struct {
	Plugin    string   `json:"plugin"`
	Version   string   `json:"version"`
	Directory string   `json:"directory"`
	Time      *int64   `json:"time,omitempty"` // ns since 1970
	Verb      string   `json:"verb"`
	Reason    string   `json:"reason"`
	Message   string   `json:"message"`
	Log       []string `json:"log"` // what it wrote to stderr, the last 64 KiB
}

func (a *app) pluginLogsCmd() *cobra.Command {
	var form string
	c := &cobra.Command{
		Use:   "logs [FLAGS] [NAME]",
		Short: "show a plugin's last failure and what it wrote",
		Long: `Show the last time that a plugin crashed, did not answer, broke the protocol or had an error of its own: what was
asked of it, and the last 64 KiB that it wrote to its standard error until then. Without a name list the plugins that
have failed; as JSON it is a list both times. One failure a plugin is kept, of 64 plugins at most, below
failures/ of the data directory: the last, however long ago. The plugin may have started well since; time= says when it
was. That no failure is known is said on standard error, and the status is 0.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("at most one plugin name is taken")
			}
			return nil
		},
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
		if len(args) == 0 {
			return a.listFailures(e.Failures(), form)
		}
		_, unknown := e.Plugin(args[0])
		r, err := e.Failures().Read(args[0])
		switch {
		case err == nil: // of a plugin that is gone, too
		case unknown != nil:
			return unknown
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(a.stderr, "plugin logs: no failure of plugin %s is known\n", args[0])
			if form != "" {
				return format(form).print(a.stdout, []pluginFailureJSON{})
			}
			return nil
		default:
			return err
		}
		if form != "" {
			return format(form).print(a.stdout, []pluginFailureJSON{newPluginFailureJSON(*r)})
		}
		printFailure(a.stdout, r)
		return nil
	}
	return c
}

func newPluginFailureJSON(r failure.Record) pluginFailureJSON {
	return pluginFailureJSON{
		Plugin: r.Plugin, Version: r.Version, Directory: r.Directory, Time: unixNano(r.Time),
		Verb: r.Verb, Reason: r.Reason, Message: r.Message, Log: list(r.Log),
	}
}

func (a *app) listFailures(l *failure.Log, form string) error {
	rs, listErr := l.List()
	out, rows := []pluginFailureJSON{}, [][]string{}
	for _, r := range rs {
		out = append(out, newPluginFailureJSON(r))
		rows = append(rows, []string{r.Plugin, r.Version, ago(r.Time, false), r.Reason, r.Verb + ": " + r.Message})
	}
	if form != "" {
		return errors.Join(format(form).print(a.stdout, out), listErr)
	}
	return errors.Join(table(a.stdout, []string{"PLUGIN", "VERSION", "WHEN", "REASON", "FAILURE"}, rows), listErr)
}

// printFailure quotes line by line: a plugin's words do not drive the terminal. A traceback's tabs stay.
func printFailure(w io.Writer, r *failure.Record) {
	fmt.Fprintf(w, "plugin=%s\nversion=%s\ndirectory=%s\ntime=%s\nreason=%s\nfailure=%s\n\n", r.Plugin, oneLine(r.Version), oneLine(r.Directory),
		ago(r.Time, true), oneLine(r.Reason), oneLine(r.Verb+": "+r.Message))
	for _, line := range r.Log {
		fmt.Fprintln(w, strings.ReplaceAll(quoteControl(line), "\n", `\n`))
	}
}
