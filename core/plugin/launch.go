package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
)

// FD is a descriptor donated to the plugin under a name of proto/launch.
type FD struct {
	Name string
	File *os.File
}

// Options of a launch.
type Options struct {
	Kind Kind
	// FDs are donated. The caller keeps its own descriptors open until Launch returns.
	FDs []FD
	// Config is the admin's file for the plugin, byte for byte; nil when there is none.
	Config []byte
	// ConfigPath is that file, or where it would be; the plugin is told for what it says to the admin.
	ConfigPath string
	// ConfigHint says where Config is from and what checks it; it follows what the plugin has against it.
	ConfigHint string
	// CacheDir outlives the process; it counts when it exists and belongs to the plugin's uid.
	CacheDir string
	// Writable are the directories that a fetcher or converter may write below, beside its CacheDir. They must
	// belong to Owner's uid, too. Other kinds ignore it.
	Writable []string
	// Logger gets the plugin's log, tagged plugin=NAME. Nil: none. It decides which levels are shown.
	Logger *slog.Logger
	Debug  bool
	// CoreVersion and CoreCapabilities are told to the plugin.
	CoreVersion      string
	CoreCapabilities []string
	// Insecure forgives owner and mode of the plugin's files (--insecure-options=plugin).
	Insecure bool
	// Grease adds to all that the plugin is told what a later minor might (grease.go).
	Grease bool

	// Failed is told of a failure of the plugin's own, with the last 64 KiB that it wrote to stderr, line by line and
	// as they came. It returns the file where that is kept, or nothing.
	Failed func(e *Error, log []string) string
	// Waiting is told of an error that another try may mend, and of a wait of seconds before it.
	Waiting func(err error, wait time.Duration)

	// The rest has defaults that only tests change.
	RunDir           string        // /run/rkt/plugins, or the user's own
	HandshakeTimeout time.Duration // 5 s
	DescribeTimeout  time.Duration // 5 s; the contract says 1 s, on a machine that is not overloaded
	CloseTimeout     time.Duration // 1 s from the lifeline's cut to SIGKILL

	adapters map[int]adapter // adapters()
}

func (o *Options) fill() error {
	if o.Kind < KindFetcher || o.Kind > KindStage1 {
		return errors.New("options name no kind")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.HandshakeTimeout, 5*time.Second)
	def(&o.DescribeTimeout, 5*time.Second)
	def(&o.CloseTimeout, time.Second)
	if o.adapters == nil {
		o.adapters = adapters()
	}
	if o.RunDir == "" {
		dir, err := runBase(os.Geteuid())
		if err != nil {
			return err
		}
		o.RunDir = dir
	}
	return nil
}

// Launch starts a plugin and returns when it has said who it is. ctx bounds the start, not the life: end that
// with Close, always. What fails is an *Error, and leaves no process and no file behind.
func Launch(ctx context.Context, e *Entry, o Options) (*Process, error) {
	if err := o.fill(); err != nil {
		return nil, refuse(e, "%w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	euid := os.Geteuid()
	binary, err := open(e, euid, o.Insecure)
	if err != nil {
		return nil, err
	}
	defer binary.Close()
	majors, err := common(e, o.Kind, sortedKeys(o.adapters))
	if err != nil {
		return nil, err
	}
	c, err := confine(o.Kind, euid, os.Getegid())
	if err != nil {
		return nil, refuse(e, "%w", err)
	}
	p := &Process{entry: e, kind: o.Kind, log: newDrain(o.Logger.With("plugin", e.Name)), grace: o.CloseTimeout, conf: c, failed: o.Failed, waiting: o.Waiting}
	if o.CacheDir != "" {
		if fi, err := os.Stat(o.CacheDir); err == nil && fi.IsDir() {
			o.Writable = append(slices.Clone(o.Writable), o.CacheDir)
		} else {
			o.CacheDir = ""
		}
	}
	err = p.start(ctx, binary, o, majors)
	if err == nil {
		err = p.introduce(ctx, o)
	}
	if err != nil {
		cerr := p.Close() // its last words come before the report
		return nil, errors.Join(p.report(err), cerr)
	}
	return p, nil
}

// start runs the process through go-plugin's client, up to the negotiated version.
func (p *Process) start(ctx context.Context, binary *os.File, o Options, majors []int) error {
	euid := os.Geteuid()
	base, err := makeBase(o.RunDir, euid)
	if err != nil {
		return refuse(p.entry, "make socket directory: %w", err)
	}
	defer base.Close()
	sweep(base)
	if err := linux.LockShared(ctx, base); err != nil {
		return refuse(p.entry, "make socket directory: %w", err)
	}
	if !p.namespaced() {
		if err := becomeSubreaper(); err != nil {
			return refuse(p.entry, "%w", err)
		}
	}
	stop := func() bool { return false } // of the watch that kills the plugin when ctx ends during the start
	defer func() { stop() }()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: launch.CookieKey, MagicCookieValue: launch.CookieValue},
		VersionedPlugins: sets(majors),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     o.HandshakeTimeout,
		Logger:           hclog.NewNullLogger(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: o.RunDir},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			p.dir = dir
			var err error
			if p.dirLock, err = own(dir, &p.conf); err != nil {
				return nil, err
			}
			if err := linux.Unlock(base); err != nil {
				return nil, err
			}
			p.conf.allowWriting(o.Kind, dir, o.Writable)
			p.run = newRunner(cmd, dir, majors)
			p.run.log = p.log
			p.run.start = func(env []string, _ string) (*child, error) {
				c, err := spawn(binary, p.entry, &p.conf, o, env)
				if err == nil {
					stop = context.AfterFunc(ctx, func() { p.kill(c) })
				}
				return c, err
			}
			return p.run, nil
		},
	})
	go ready(o.Kind)
	if _, err := client.Start(); err != nil {
		return p.startError(ctx, o, err)
	}
	return p.dial(o)
}

// startError finds the reason behind go-plugin's.
func (p *Process) startError(ctx context.Context, o Options, err error) error {
	if ctx.Err() != nil {
		return about(p.entry, reason.PluginTimeout, "%w", ctx.Err())
	}
	if p.run == nil || p.run.child == nil {
		return refuse(p.entry, "%w", err) // it was never executed
	}
	select {
	case <-p.run.read:
	default: // Close kills it, and has to see first what it has started
		return about(p.entry, reason.PluginTimeout, "printed no handshake line within %v", o.HandshakeTimeout)
	}
	switch herr := p.run.err; {
	case errors.Is(herr, errNoHandshake):
		return p.crash("start plugin", time.Second, "closed its stdout without a handshake")
	case errors.Is(herr, errProtocolVersion):
		return about(p.entry, reason.PluginProtocol, "%w", herr)
	case herr != nil:
		return about(p.entry, reason.PluginProtocol, "%w", herr)
	}
	return about(p.entry, reason.PluginProtocol, "%s", fmt.Sprint(err))
}
