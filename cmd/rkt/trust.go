package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/trust"
)

func (a *app) trustCmd() *cobra.Command {
	var prefix string
	var root, yes, list bool
	var form format
	c := &cobra.Command{
		Use:   "trust (--prefix=PREFIX | --root) [FLAGS] [PUBKEY...]",
		Short: "trust public keys for image names below a prefix",
		Long: `Trust the OpenPGP keys of the given files for images whose name is the prefix or lies below it, by whole path
elements: example.com/foo covers example.com/foo/bar, not example.com/foobar. Without a file the keys are looked up
by appc discovery of the prefix. The fingerprints are shown and must be agreed to.`,
		Example: `  rkt trust --prefix=example.com/app release-key.asc
  rkt trust --list`,
	}
	f := c.Flags()
	f.StringVar(&prefix, "prefix", "", "image name `prefix` that the keys are trusted for")
	f.BoolVar(&root, "root", false, "trust the keys for every name")
	f.BoolVar(&yes, "skip-fingerprint-review", false, "do not ask")
	f.BoolVar(&list, "list", false, "list the trusted keys")
	addFormat(c, &form)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := form.check(); err != nil {
			return err
		}
		if form != "" && !list {
			return usagef("--format is for --list")
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		if list {
			return a.listKeys(e, form)
		}
		switch {
		case root == (prefix != ""):
			return usagef("exactly one of --prefix=PREFIX and --root is needed: a key is never trusted for all names by accident")
		case root:
			prefix = trust.Root
		case strings.Contains(prefix, "://"):
			return usagef("--prefix: %q has a scheme; a prefix is the beginning of an image name, such as example.com/app", prefix)
		}
		if prefix == trust.Root && len(args) == 0 {
			return usagef("--root needs key files: keys can be looked up for a prefix only")
		}
		var blobs [][]byte
		for _, path := range args {
			b, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("read public key: %w", err)
			}
			blobs = append(blobs, b)
		}
		if len(args) == 0 {
			if blobs, err = e.DiscoverKeys(cmd.Context(), prefix); err != nil {
				return err
			}
		}
		for _, b := range blobs {
			if err := a.trustKey(e, prefix, b, yes || len(args) == 0 && a.flags.TrustHTTPS); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func (a *app) trustKey(e *engine.Engine, prefix string, b []byte, yes bool) error {
	infos, err := trust.Fingerprints(b)
	if err != nil {
		return err
	}
	a.showKeys(infos)
	if !yes {
		if !term.IsTerminal(0) {
			return fmt.Errorf("trust key: nobody is there to review the fingerprints (no terminal); compare them and use --skip-fingerprint-review")
		}
		if ok, err := a.ask(os.Stdin, "Trust this for "+covered(prefix)+"? [yes/no] "); err != nil || !ok {
			return fmt.Errorf("trust key: not agreed to")
		}
	}
	added, err := e.Keyring().Add(prefix, b)
	for _, k := range added {
		fmt.Fprintf(a.stdout, "trusted %s for %s\n", k.ID, covered(prefix))
	}
	return err
}

// covered says which images a prefix is about.
func covered(prefix string) string {
	if prefix == trust.Root {
		return "EVERY image"
	}
	return fmt.Sprintf("images below %q", prefix)
}

func (a *app) showKeys(infos []trust.Info) {
	for _, i := range infos {
		fmt.Fprintf(a.stderr, "key %s\n", i.Fingerprint)
		for _, id := range i.Identities {
			fmt.Fprintf(a.stderr, "    %s\n", quoteControl(id))
		}
	}
}

// reviewer judges the keys that a fetch finds for a name which no key is trusted for yet: whoever is at the terminal,
// or --trust-keys-from-https. Otherwise there is nobody, and nothing is looked up.
func (a *app) reviewer(https bool) func(prefix string, keys []trust.Info) (bool, error) {
	if !https && !(term.IsTerminal(0) && term.IsTerminal(2)) {
		return nil
	}
	return func(prefix string, keys []trust.Info) (bool, error) {
		a.endProgress()
		a.showKeys(keys)
		if https {
			fmt.Fprintf(a.stderr, "trusted for %s by --trust-keys-from-https\n", covered(prefix))
			return true, nil
		}
		return a.ask(os.Stdin, "Trust this for "+covered(prefix)+"? [yes/no] ")
	}
}

func (a *app) ask(r io.Reader, question string) (bool, error) {
	sc := bufio.NewScanner(r)
	for {
		fmt.Fprint(a.stderr, question)
		if !sc.Scan() {
			return false, sc.Err()
		}
		switch strings.ToLower(strings.TrimSpace(sc.Text())) {
		case "yes", "y":
			return true, nil
		case "no", "n":
			return false, nil
		}
	}
}

// keyJSON is a trusted key in trust --list.
type keyJSON struct {
	Prefix      string   `json:"prefix" jsonschema:"of the image names that it is trusted for; empty: every name"`
	Fingerprint string   `json:"fingerprint"`
	Identities  []string `json:"identities"`
	State       keyState `json:"state" jsonschema:"masked: by an empty file of the administrator"`
	Error       string   `json:"error,omitempty" jsonschema:"why it is broken"`
}

type keyState string

const (
	keyTrusted keyState = "trusted"
	keyMasked  keyState = "masked"
	keyBroken  keyState = "broken"
)

func (a *app) listKeys(e *engine.Engine, form format) error {
	keys, err := e.Keyring().List()
	if err != nil {
		return err
	}
	out, rows := keyRows(keys)
	if form != "" {
		return form.print(a.stdout, out)
	}
	return table(a.stdout, []string{"PREFIX", "FINGERPRINT", "IDENTITY", "STATE"}, rows)
}

// keyRows are the keys for machines and for people.
func keyRows(keys []trust.Listed) ([]keyJSON, [][]string) {
	out, rows := []keyJSON{}, [][]string{}
	for _, k := range keys {
		j := keyJSON{Prefix: k.Prefix, Fingerprint: k.ID, Identities: list(k.Info.Identities), State: keyTrusted}
		switch {
		case k.Err != nil:
			j.State, j.Error = keyBroken, k.Err.Error()
		case k.Masked:
			j.State = keyMasked
		}
		prefix, state := k.Prefix, string(j.State)
		if prefix == trust.Root {
			j.Prefix, prefix = "", "(every name)"
		}
		if j.Error != "" {
			state += ": " + j.Error
		}
		out = append(out, j)
		rows = append(rows, []string{prefix, k.ID, first(k.Info.Identities), state})
	}
	return out, rows
}
