package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rkt/rkt/v2/core/engine"
)

// parseApps reads what follows the pod's flags: images, each with its own flags and arguments
// (rkt-features.md CLI-09..11).
//
//	IMAGE [APP FLAGS] [-- ARGS [---]] [IMAGE ...]
//
// A word that does not begin with "-" is an image. "--" opens the arguments of the image before it, "---"
// closes them.
func parseApps(words []string) ([]engine.AppSpec, error) {
	var apps []engine.AppSpec
	var flags *pflag.FlagSet
	var given map[string]bool
	for i := 0; i < len(words); {
		w := words[i]
		i++
		switch {
		case w == "--":
			if flags == nil {
				return nil, usagef("-- opens the arguments of an image: it must follow an image")
			}
			cur := &apps[len(apps)-1]
			if cur.Args != nil {
				return nil, usagef("image %q has two lists of arguments", cur.Image)
			}
			cur.Args = []string{}
			for i < len(words) && words[i] != "---" {
				cur.Args = append(cur.Args, words[i])
				i++
			}
			i++ // over "---"
		case w == "---":
			return nil, usagef("--- closes a list of arguments, but none is open")
		case strings.HasPrefix(w, "-"):
			n, err := appFlag(flags, given, w, words[i:])
			if err != nil {
				return nil, err
			}
			i += n
		case w == "":
			return nil, usagef("an image name cannot be empty")
		default:
			apps = append(apps, engine.AppSpec{Image: w})
			flags, given = appFlags(&apps[len(apps)-1]), map[string]bool{}
		}
	}
	return apps, nil
}

// appFlag sets one flag of the current image and says how many of the following words it used.
func appFlag(flags *pflag.FlagSet, given map[string]bool, word string, rest []string) (int, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if flags == nil {
		if appFlags(&engine.AppSpec{}).Lookup(name) != nil {
			return 0, usagef("--%s is a flag of an app: it must follow an image", name)
		}
		return 0, usagef("unknown flag %s", word)
	}
	f := flags.Lookup(name)
	if f == nil || !strings.HasPrefix(word, "--") {
		return 0, usagef("%s is no flag of an app (flags of the pod come before the first image, arguments of the app after \"--\")", word)
	}
	if given[name] && (name == "exec" || name == "signature" || name == "name") {
		return 0, usagef("--%s is given twice for one image", name)
	}
	given[name] = true
	used := 0
	if !hasValue {
		switch {
		case f.NoOptDefVal != "":
			value = f.NoOptDefVal
		case len(rest) > 0:
			value, used = rest[0], 1
		default:
			return 0, usagef("--%s needs a value", name)
		}
	}
	if err := flags.Set(name, value); err != nil {
		return 0, usagef("%w", err)
	}
	return used, nil
}

// appFlags are the flags that follow an image, bound to its spec.
func appFlags(a *engine.AppSpec) *pflag.FlagSet {
	f := pflag.NewFlagSet("app", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	f.Var(text(&a.Name), "name", "`name` of the app in the pod (default: from the image's name)")
	f.Var(text(&a.Exec), "exec", "`program` to run instead of the image's")
	f.Var(text(&a.User), "user", "`user` to run as: a name, a number, or a path in the image whose owner counts")
	f.Var(text(&a.Group), "group", "`group` to run as, likewise")
	f.Var(parsed(&a.SupplementaryGIDs, parseGIDs), "supplementary-gids", "further group `numbers`, comma separated")
	f.Var(text(&a.Dir), "working-dir", "working `directory`")
	f.Var(appended(&a.Env, parseEnv), "environment", "`variable` of this app's environment, NAME=VALUE, over all other settings; repeatable")
	f.Var(appended(&a.Mounts, parseMount), "mount", "`mount` in this app: volume=NAME,target=PATH[,readOnly=true]; repeatable")
	f.BoolVar(&a.ReadOnlyRoot, "readonly-rootfs", a.ReadOnlyRoot, "mount the app's root read-only")
	f.Var(parsed(&a.Memory, engine.ParseBytes), "memory", "memory `limit` (512Mi)")
	f.Var(parsed(&a.CPUMillis, engine.ParseMillis), "cpu", "CPU `limit` (500m, 1.5)")
	f.Var(parsed(&a.CPUShares, parseShares), "cpu-shares", "relative `weight` of CPU time (2..262144)")
	f.Var(parsed(&a.OOMScoreAdj, parseOOM), "oom-score-adj", "out-of-memory `score` (-1000..1000)")
	f.Var(parsed(&a.CapsRetain, parseList), "caps-retain", "`capabilities` to keep, exactly these")
	f.Var(parsed(&a.CapsRemove, parseList), "caps-remove", "`capabilities` to take from the default set")
	f.Var(text(&a.StopSignal), "stop-signal", "`signal` that asks the app to end (default: the image's, else SIGTERM)")
	f.Var(text(&a.Signature), "signature", "`file` with the image's detached signature")
	f.Var(annotation(&a.Annotations), "annotation", "`annotation` that the pod's manifest carries, NAME=VALUE; repeatable")
	return f
}

// value is a flag whose text is handed to a function.
type value struct {
	set func(string) error
	get func() string
}

func (v value) Set(s string) error { return v.set(s) }
func (v value) String() string     { return v.get() }
func (v value) Type() string       { return "" }

func text(p *string) value {
	return value{func(s string) error { *p = s; return nil }, func() string { return *p }}
}

func parsed[T any](p *T, parse func(string) (T, error)) value {
	return value{func(s string) error {
		v, err := parse(s)
		if err == nil {
			*p = v
		}
		return err
	}, func() string { return "" }}
}

func appended[T any](p *[]T, parse func(string) (T, error)) value {
	return value{func(s string) error {
		v, err := parse(s)
		if err == nil {
			*p = append(*p, v)
		}
		return err
	}, func() string { return "" }}
}

func annotation(p *map[string]string) value {
	return value{func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return errors.New("an annotation is NAME=VALUE")
		}
		if *p == nil {
			*p = map[string]string{}
		}
		if _, dup := (*p)[k]; dup {
			return fmt.Errorf("annotation %q is given twice", k)
		}
		(*p)[k] = v
		return nil
	}, func() string { return "" }}
}
