package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// format is the value of --format.
type format string

// addFormat gives a verb --format. What it prints then has a schema in docs/schema.
func addFormat(c *cobra.Command, to *format) {
	c.Flags().StringVar((*string)(to), "format", "", "json or json-pretty")
}

func (f format) check() error {
	switch f {
	case "", "json", "json-pretty":
		return nil
	}
	return usagef("--format: %q is neither json nor json-pretty", string(f))
}

// print writes v as the format says.
func (f format) print(w io.Writer, v any) error { return printJSON(w, v, f == "json-pretty") }

// printJSON writes v, indented when asked.
func printJSON(w io.Writer, v any, pretty bool) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if pretty {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
}

// oneLine quotes s so that it cannot make a second line, or a column, of its own.
func oneLine(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(quoteControl(s), "\n", `\n`), "\t", `\t`)
}

// table prints aligned columns; what images and plugins say is quoted.
func table(w io.Writer, header []string, rows [][]string) error {
	out := bufio.NewWriter(w) // a tabwriter writes cell by cell
	tw := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if header != nil {
		fmt.Fprintln(tw, strings.Join(header, "\t"))
	}
	for _, r := range rows {
		for i := range r {
			r[i] = oneLine(r[i])
		}
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return out.Flush()
}

// ago is a time as people say it; full is the wall clock.
func ago(t time.Time, full bool) string {
	if t.IsZero() {
		return ""
	}
	if full {
		return t.Format("2006-01-02 15:04:05.000 -0700 MST")
	}
	d := time.Since(t)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int(d / u.unit); n > 0 {
			return plural(n, u.name) + " ago"
		}
	}
	return "now"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bytesize is a size in binary units.
func bytesize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), "KMGTP"
	for i := range units {
		if f /= 1024; f < 1024 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %ciB", f, units[i])
		}
	}
	return ""
}

func unixNano(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixNano()
	return &n
}
