package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/proto/ociapp"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// defaultCapabilities is the bounding set of an app that asks for nothing (rkt-features.md ISO-03). MKNOD is
// harmless beside the device policy, NET_RAW is what ping needs.
func defaultCapabilities() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
}

// allCapabilities is in the kernel's order (capability.h): the index is the number.
func allCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
		"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
		"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
		"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
		"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
		"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}

// isolate applies the image's isolators below the user's flags and returns the bounding set. An isolator that
// rkt does not know is reported, never silently dropped (rkt-features.md APPC-06).
func (e *Engine) isolate(app *poddir.App, isolators []ociapp.Isolator, a AppSpec) ([]string, error) {
	retain, remove := a.CapsRetain, a.CapsRemove
	flags := retain != nil || remove != nil
	for _, i := range isolators {
		var err error
		switch i.Name {
		case "os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set":
			if flags {
				continue
			}
			var v isolatorSet
			if v, err = decode[isolatorSet](i); err == nil && i.Name == "os/linux/capabilities-retain-set" {
				retain = append([]string{}, v.Set...)
			} else if err == nil {
				remove = append([]string{}, v.Set...)
			}
		case "resource/memory":
			app.Resources.MemoryBytes, err = limit(i, app.Resources.MemoryBytes, ParseBytes)
		case "resource/cpu":
			app.Resources.CPUMillis, err = limit(i, app.Resources.CPUMillis, ParseMillis)
		case "os/linux/no-new-privileges":
			app.NoNewPrivileges, err = decode[bool](i)
		case "os/linux/cpu-shares":
			var v uint64
			if v, err = decode[uint64](i); err == nil && (v < 2 || v > 262144) {
				err = fmt.Errorf("isolator %s: %d is not between 2 and 262144", i.Name, v)
			}
			if app.Resources.CPUShares == 0 {
				app.Resources.CPUShares = v
			}
		case "os/linux/oom-score-adj":
			var v int
			if v, err = decode[int](i); err == nil && (v < -1000 || v > 1000) {
				err = fmt.Errorf("isolator %s: %d is not between -1000 and 1000", i.Name, v)
			}
			if app.Resources.OOMScoreAdj == nil {
				app.Resources.OOMScoreAdj = &v
			}
		default:
			e.Observer.warn("app %s: isolator %s of the image is not enforced by this rkt", app.Name, i.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	if e.Config.Insecure.Capabilities {
		return allCapabilities(), nil
	}
	return boundingSet(retain, remove)
}

func limit(i ociapp.Isolator, flag int64, parse func(string) (int64, error)) (int64, error) {
	if flag != 0 {
		return flag, nil
	}
	v, err := decode[isolatorLimit](i)
	if err != nil || v.Limit == "" {
		return 0, err
	}
	n, err := parse(v.Limit)
	if err != nil {
		return 0, fmt.Errorf("isolator %s: %w", i.Name, err)
	}
	return n, nil
}

func boundingSet(retain, remove []string) ([]string, error) {
	if retain != nil && remove != nil {
		return nil, errors.New("capabilities can be retained or removed, not both (--caps-retain, --caps-remove)")
	}
	if retain != nil {
		return capabilities(retain)
	}
	gone, err := capabilities(remove)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(defaultCapabilities(), func(c string) bool { return slices.Contains(gone, c) }), nil
}

func capabilities(names []string) ([]string, error) {
	out := []string{}
	for _, n := range names {
		c := strings.ToUpper(strings.TrimSpace(n))
		if !strings.HasPrefix(c, "CAP_") {
			c = "CAP_" + c
		}
		if !slices.Contains(allCapabilities(), c) {
			return nil, fmt.Errorf("%q is no Linux capability (see capabilities(7))", n)
		}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out, nil
}
