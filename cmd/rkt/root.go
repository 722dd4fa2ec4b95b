package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/config"
	"github.com/rkt/rkt/v2/core/engine"
)

// version is set by the linker.
var version = "2.0.0-dev"

// app is one invocation.
type app struct {
	flags  config.Flags
	stdout io.Writer
	stderr io.Writer
	status int // exit status of a verb that succeeded with a status of its own (finish)
	bar    *progressBar
}

// main runs one verb and returns the exit status.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.command()
	a.hidden(root, args)
	root.SetArgs(args)
	root.SetOut(a.stdout)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return a.status
	}
	var shown *shownError
	if !errors.As(err, &shown) {
		fmt.Fprintf(a.stderr, "%s: %s\n", commandName(cmd), quoteControl(err.Error()))
	}
	return exitCode(err)
}

// commandName is what an error is prefixed with: the verb, as in "run: ..." and "plugin check: ...".
func commandName(cmd *cobra.Command) string {
	if cmd == nil || !cmd.HasParent() {
		return "rkt"
	}
	if cmd.Parent().HasParent() {
		return cmd.Parent().Name() + " " + cmd.Name()
	}
	return cmd.Name()
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "rkt",
		Short: "run pods of apps from container images, without a daemon",
		Long: `rkt runs pods: one or more apps from container images that share a network, IPC and lifetime.
There is no daemon: "rkt run" is the pod's own process, for a shell, a systemd unit or a scheduler to supervise,
and it exits with the pod's status.

What an exit status means: rkt help exit-codes. Which variables are read: rkt help environment.`,
		Example: `  rkt run docker://registry.example/nginx
  rkt run --net=host --volume=data,kind=host,source=/srv docker://alpine --mount=volume=data,target=/data --exec=/bin/ls -- -l /data
  rkt list`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          commandArgs,
		RunE:          func(*cobra.Command, []string) error { return nil },
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w (%s --help lists the flags)", err, c.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&a.flags.Dir, "dir", "", "data `directory` (default "+config.DefaultDir+")")
	f.StringVar(&a.flags.SystemConfig, "system-config", "", "vendor's configuration `directory` (default "+config.DefaultSystemConfig+")")
	f.StringVar(&a.flags.LocalConfig, "local-config", "", "administrator's configuration `directory`, less plugins.d (default "+config.DefaultLocalConfig+")")
	f.StringArrayVar(&a.flags.PluginPath, "plugin-dir", nil, "`directory` of plugins, searched first (as root: needs --insecure-options=plugin)")
	f.StringSliceVar(&a.flags.Insecure, "insecure-options", nil, "protections to turn off: "+insecureWords())
	f.BoolVar(&a.flags.TrustHTTPS, "trust-keys-from-https", false, "trust public keys that a name's server offers over https without asking")
	f.BoolVar(&a.flags.Debug, "debug", false, "show whole error chains and the plugins' logs")
	root.AddGroup(groups()...)
	grouped(root, groupPods, a.runCmd(), a.prepareCmd(), a.runPreparedCmd(), a.listCmd(), a.statusCmd(), a.stopCmd(), a.enterCmd(),
		a.logsCmd(), a.updateCmd(), a.rmCmd(), a.gcCmd(), a.catManifestCmd())
	grouped(root, groupImages, a.fetchCmd(), a.imageCmd(), a.trustCmd())
	grouped(root, groupOthers, a.pluginCmd(), a.versionCmd())
	root.SetHelpCommandGroupID(groupOthers)
	root.SetCompletionCommandGroupID(groupOthers)
	root.SetUsageFunc(usage)
	for _, c := range root.Commands() {
		plainUseLine(c)
	}
	return root
}

// hidden adds the topics of help and the verbs that rkt runs itself, when one is named in full: a prefix never means
// them.
func (a *app) hidden(root *cobra.Command, args []string) {
	for _, c := range append(topics(), a.finishCmd(), a.startCmd()) {
		if slices.Contains(args, c.Name()) {
			root.AddCommand(c)
		}
	}
}

// commandArgs is for a command that only has others below it.
func commandArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("missing command (%s --help lists them)", c.CommandPath())
	}
	return unknownCommand(c, args[0])
}

// unknownCommand says why a word is no verb.
func unknownCommand(c *cobra.Command, word string) error {
	var meant []string
	for _, sub := range c.Commands() {
		if strings.HasPrefix(sub.Name(), word) && sub.IsAvailableCommand() {
			meant = append(meant, sub.Name())
		}
	}
	if len(meant) > 1 {
		return usagef("ambiguous command %q: it can be %s", word, strings.Join(meant, ", "))
	}
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(word); len(near) > 0 {
		return usagef("unknown command %q: did you mean %s? (%s --help lists them)", word, strings.Join(near, " or "), c.CommandPath())
	}
	return usagef("unknown command %q (%s --help lists them)", word, c.CommandPath())
}

func insecureWords() string {
	s := ""
	for i, o := range config.InsecureOptions() {
		if i > 0 {
			s += ", "
		}
		s += o[0]
	}
	return s
}

// engine opens the engine with the global flags.
func (a *app) engine() (*engine.Engine, error) {
	if _, err := config.ParseInsecure(a.flags.Insecure); err != nil {
		return nil, &usageError{err}
	}
	c, err := config.Load(a.flags, os.Getenv)
	if err != nil {
		return nil, err
	}
	level := slog.LevelWarn
	if c.Debug {
		level = slog.LevelDebug
	}
	e, err := engine.New(c, engine.Observer{
		Progress: a.progress(),
		Review:   a.reviewer(c.TrustHTTPS),
		Warn:     func(msg string) { fmt.Fprintf(a.stderr, "rkt: %s\n", quoteControl(msg)) },
		Log:      slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return nil, err
	}
	e.Version = version
	return e, nil
}

// rootEngine is engine for verbs that change pods. Integrators match the text of its refusal.
func (a *app) rootEngine() (*engine.Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot run as unprivileged user (pods are made and ended by root)")
	}
	return a.engine()
}

// printID ends a verb that has made or started a pod.
func (a *app) printID(id string, err error) error {
	if err == nil {
		fmt.Fprintln(a.stdout, id)
	}
	return err
}

// plainUseLine keeps cobra from adding "[flags]" to lines that say it already.
func plainUseLine(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	for _, sub := range c.Commands() {
		plainUseLine(sub)
	}
}
