package reference

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Edition is what the foot of a man page says.
type Edition struct {
	Version string
	Date    time.Time
}

// Section is the manual's section of a command: 1, or 7 for a topic of help.
func Section(c *cobra.Command) int {
	if c.IsAdditionalHelpTopicCommand() {
		return 7
	}
	return 1
}

// Man is the manual page of one command (man(7)). Lines of its description that begin with a blank are kept as they
// are, the others are filled.
func Man(c *cobra.Command, e Edition) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %s %d %q %q %q\n", strings.ToUpper(escape(Name(c))), Section(c), e.Date.UTC().Format(time.DateOnly), "rkt "+e.Version, "rkt manual")
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(Name(c)), escape(c.Short))
	if c.Runnable() {
		fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", escape(synopsis(c)))
	}
	b.WriteString(".SH DESCRIPTION\n")
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	prose(&b, text)
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n")
		literal(&b, strings.Split(c.Example, "\n"))
	}
	c.InitDefaultHelpFlag()
	flags(&b, "OPTIONS", c.NonInheritedFlags())
	flags(&b, "GLOBAL OPTIONS", c.InheritedFlags())
	seeAlso(&b, c)
	return b.Bytes()
}

// synopsis is the usage line of help: "rkt image COMMAND" for a command that only has others below it.
func synopsis(c *cobra.Command) string {
	if c.HasParent() {
		return c.UseLine()
	}
	return c.CommandPath() + " COMMAND [FLAGS]"
}

func prose(b *bytes.Buffer, text string) {
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\n")
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			kept = append(kept, line)
			continue
		}
		literal(b, kept)
		kept = nil
		if line == "" {
			b.WriteString(".PP\n")
			continue
		}
		fmt.Fprintln(b, escape(line))
	}
	literal(b, kept)
}

func literal(b *bytes.Buffer, lines []string) {
	if len(lines) == 0 {
		return
	}
	b.WriteString(".PP\n.nf\n")
	for _, l := range lines {
		fmt.Fprintln(b, escape(strings.ReplaceAll(l, "\t", "    ")))
	}
	b.WriteString(".fi\n.PP\n")
}

func flags(b *bytes.Buffer, title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := `\-\-` + escape(f.Name)
		if f.Shorthand != "" {
			name = `\-` + escape(f.Shorthand) + `\fR, \fB` + name
		}
		switch {
		case value != "" && f.NoOptDefVal != "":
			value = "[=" + value + "]"
		case value != "":
			value = "=" + value
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR\\fI%s\\fR\n%s\n", name, escape(value), escape(usage+defaultOf(f)))
	})
}

// defaultOf is the default as help shows it: zero values are not worth a word.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "[]", "0":
		return ""
	}
	return " (default " + f.DefValue + ")"
}

func seeAlso(b *bytes.Buffer, c *cobra.Command) {
	var pages []string
	if c.HasParent() {
		pages = append(pages, page(c.Parent()))
	}
	for _, sub := range Below(c) {
		pages = append(pages, page(sub))
	}
	if len(pages) > 0 {
		fmt.Fprintf(b, ".SH SEE ALSO\n%s\n", strings.Join(pages, ",\n"))
	}
}

func page(c *cobra.Command) string {
	return fmt.Sprintf(`\fB%s\fR(%d)`, escape(Name(c)), Section(c))
}

// escape keeps text from being read as requests.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "~", `\(ti`, "^", `\(ha`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
