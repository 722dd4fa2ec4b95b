package hostnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Paths of the settings.
const (
	forward4 = "/proc/sys/net/ipv4/ip_forward"
	forward6 = "/proc/sys/net/ipv6/conf/all/forwarding"
	conf6    = "/proc/sys/net/ipv6/conf"
)

// HasIPv6 says whether the kernel speaks IPv6 and the host has not turned it off.
func HasIPv6() bool {
	v, err := Sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err == nil && v == "0"
}

// Forwarding says whether the host forwards already, for both families when with6.
func Forwarding(with6 bool) bool {
	v4, _ := Sysctl(forward4)
	if v4 != "1" || !with6 {
		return v4 == "1"
	}
	v6, _ := Sysctl(forward6)
	return v6 == "1"
}

// Forward turns forwarding on. Every setting that changes is given to remember first, with its old value; the
// settings stay when the last pod is gone, because by then others may rely on them.
func Forward(with6 bool, remember func(path, old string) error) error {
	if err := change(forward4, "1", remember); err != nil {
		return plugin.HostUnfit("turn on IPv4 forwarding: %w; type: sysctl -w net.ipv4.ip_forward=1", err)
	}
	if !with6 {
		return nil
	}
	if v, _ := Sysctl(forward6); v != "1" {
		// A host that forwards stops listening to router advertisements, and loses its own default route,
		// unless accept_ra is 2.
		links, err := os.ReadDir(conf6)
		if err != nil {
			return fmt.Errorf("list links: %w", err)
		}
		for _, l := range links {
			ra := filepath.Join(conf6, l.Name(), "accept_ra")
			if v, _ := Sysctl(ra); v != "1" || l.Name() == "all" || l.Name() == "lo" {
				continue
			}
			if err := change(ra, "2", remember); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return plugin.HostUnfit("keep router advertisements on %s: %w", l.Name(), err)
			}
		}
	}
	if err := change(forward6, "1", remember); err != nil {
		return plugin.HostUnfit("turn on IPv6 forwarding: %w; type: sysctl -w net.ipv6.conf.all.forwarding=1", err)
	}
	return nil
}

// Sysctl reads a setting.
func Sysctl(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

// SetSysctl writes a setting.
func SetSysctl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func change(path, value string, remember func(path, old string) error) error {
	old, err := Sysctl(path)
	if err != nil || old == value {
		return err
	}
	if err := remember(path, old); err != nil {
		return err
	}
	return SetSysctl(path, value)
}
