package confine

import (
	"strings"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/user"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is the app's, with what an image may expect where it says nothing itself. Nothing of the
// caller's environment is in it.
func environment(a *plan.App, id user.ID, term string, terminal bool) []string {
	env := append([]string(nil), a.Env...)
	add := func(key, value string) {
		if _, ok := lookup(env, key); !ok {
			env = append(env, key+"="+value)
		}
	}
	name, shell := id.Name, id.Shell
	if name == "" && id.UID == 0 {
		name = "root"
	}
	home := id.Home
	if home == "/" && id.UID == 0 {
		home = "/root"
	}
	if shell == "" {
		shell = "/bin/sh"
	}
	add("PATH", defaultPath)
	add("HOME", home)
	add("SHELL", shell)
	if name != "" {
		add("USER", name)
		add("LOGNAME", name)
	}
	if terminal {
		if term == "" {
			term = "xterm"
		}
		add("TERM", term)
	}
	add("container", "rkt")
	add("AC_APP_NAME", a.Name)
	return env
}

func lookup(env []string, key string) (string, bool) {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == key {
			return v, true
		}
	}
	return "", false
}
