package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/proto/poddir"
)

var (
	envName    = lazily(`^[A-Za-z_][A-Za-z_0-9.-]*$`) // appc types, EnvironmentVariable
	volumeName = lazily(`^[a-z0-9]+(-[a-z0-9]+)*$`)   // appc types, AC Name
	dnsName    = lazily(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	netName    = lazily(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`) // CNI spec, section 1
)

func parseEnv(s string) (string, error) {
	k, v, ok := strings.Cut(s, "=")
	if !ok || !envName.MatchString(k) || strings.ContainsRune(v, 0) {
		return "", fmt.Errorf("%q is not NAME=VALUE with a name of letters, digits and _.-", s)
	}
	return s, nil
}

// parseEnvFile reads --set-env-file: one K=V a line, comments with # or ;, blank lines skipped.
func parseEnvFile(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read environment file: %w", err)
	}
	defer f.Close()
	var out []string
	seen := map[string]bool{}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		kv, err := parseEnv(line)
		if err != nil {
			return nil, fmt.Errorf("read environment file %s: line %d: %w", path, n, err)
		}
		k, _, _ := strings.Cut(kv, "=")
		if seen[k] {
			return nil, fmt.Errorf("read environment file %s: line %d sets %s again", path, n, k)
		}
		seen[k] = true
		out = append(out, kv)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read environment file %s: %w", path, err)
	}
	return out, nil
}

// keyValues reads "K=V,K=V" with the given keys alone, each at most once.
func keyValues(s string, keys ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, item := range strings.Split(s, ",") {
		k, v, ok := strings.Cut(item, "=")
		known := false
		for _, key := range keys {
			known = known || k == key
		}
		if !ok || !known {
			return nil, fmt.Errorf("%q is none of %s=...", item, strings.Join(keys, "=..., "))
		}
		if _, dup := out[k]; dup {
			return nil, fmt.Errorf("%s is given twice", k)
		}
		out[k] = v
	}
	return out, nil
}

func parseMount(s string) (poddir.Mount, error) {
	kv, err := keyValues(s, "volume", "target", "readOnly")
	if err != nil {
		return poddir.Mount{}, err
	}
	m := poddir.Mount{Volume: kv["volume"], Target: kv["target"]}
	if m.Volume == "" || !path.IsAbs(m.Target) || path.Clean(m.Target) == "/" {
		return m, errors.New("a mount is volume=NAME,target=PATH with an absolute path below /")
	}
	m.ReadOnly, err = boolean(kv, "readOnly", false)
	return m, err
}

func boolean(kv map[string]string, key string, def bool) (bool, error) {
	s, ok := kv[key]
	if !ok {
		return def, nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%s: %q is neither true nor false", key, s)
	}
	return b, nil
}

// parseVolume reads NAME,kind=host,source=PATH[,readOnly=][,recursive=] or NAME,kind=empty[,mode=][,uid=][,gid=].
func parseVolume(s string) (poddir.Volume, error) {
	name, rest, _ := strings.Cut(s, ",")
	v := poddir.Volume{Name: name}
	if !volumeName.MatchString(name) {
		return v, fmt.Errorf("volume name %q is not of the form a-z0-9 with single dashes inside", name)
	}
	kv, err := keyValues(rest, "kind", "source", "readOnly", "recursive", "mode", "uid", "gid")
	if err != nil {
		return v, err
	}
	v.Kind = poddir.VolumeKind(kv["kind"])
	if v.ReadOnly, err = boolean(kv, "readOnly", false); err != nil {
		return v, err
	}
	switch v.Kind {
	case poddir.VolumeHost:
		if !path.IsAbs(kv["source"]) {
			return v, fmt.Errorf("volume %s: source=%q is not an absolute path", name, kv["source"])
		}
		v.Source = path.Clean(kv["source"])
		v.Recursive, err = boolean(kv, "recursive", true)
		return v, err
	case poddir.VolumeEmpty:
		if kv["source"] != "" {
			return v, fmt.Errorf("volume %s: an empty volume has no source", name)
		}
		return v, emptyVolume(&v, kv)
	default:
		return v, fmt.Errorf("volume %s: kind is %q, neither host nor empty", name, kv["kind"])
	}
}

func emptyVolume(v *poddir.Volume, kv map[string]string) error {
	for _, f := range []struct {
		key, def string
		base     int
		to       *uint32
	}{{"mode", "0755", 8, &v.Mode}, {"uid", "0", 10, &v.UID}, {"gid", "0", 10, &v.GID}} {
		s, ok := kv[f.key]
		if !ok {
			s = f.def
		}
		n, err := strconv.ParseUint(s, f.base, 32)
		if err != nil || f.key == "mode" && n > 0o7777 {
			return fmt.Errorf("volume %s: %s=%q is no valid number", v.Name, f.key, s)
		}
		*f.to = uint32(n)
	}
	return nil
}

// parsePort reads NAME:[HOSTIP:]HOSTPORT; an IPv6 address stands in brackets.
func parsePort(s string) (engine.PortSpec, error) {
	name, rest, ok := strings.Cut(s, ":")
	p := engine.PortSpec{Name: name}
	if i := strings.LastIndexByte(rest, ':'); ok && i >= 0 {
		ip, err := parseAddr(strings.Trim(rest[:i], "[]"))
		if err != nil {
			return p, fmt.Errorf("%q: %w", s, err)
		}
		p.HostIP, rest = ip.String(), rest[i+1:]
	}
	n, err := strconv.ParseUint(rest, 10, 16)
	if !ok || name == "" || err != nil || n == 0 {
		return p, fmt.Errorf("%q is not NAME:[HOSTIP:]HOSTPORT (NAME is a port that the image names, or its number)", s)
	}
	p.HostPort = uint16(n)
	return p, nil
}

// parseNet reads --net: a mode or networks with arguments, NAME[:K=V[;K=V]].
func parseNet(items []string) (poddir.NetworkMode, []poddir.NetworkRequest, error) {
	if len(items) == 0 {
		items = []string{"default"}
	}
	var reqs []poddir.NetworkRequest
	for _, item := range items {
		name, args, hasArgs := strings.Cut(item, ":")
		if name == "host" || name == "none" {
			if len(items) > 1 || hasArgs {
				return "", nil, fmt.Errorf("%s excludes other networks and takes no arguments", name)
			}
			return poddir.NetworkMode(name), nil, nil
		}
		if !netName.MatchString(name) {
			return "", nil, fmt.Errorf("%q is no name of a network", name)
		}
		r := poddir.NetworkRequest{Name: name}
		for _, o := range reqs {
			if o.Name == name {
				return "", nil, fmt.Errorf("network %q is given twice", name)
			}
		}
		if hasArgs {
			r.Args = map[string]string{}
			for _, kv := range strings.Split(args, ";") {
				k, v, ok := strings.Cut(kv, "=")
				if !ok || k == "" {
					return "", nil, fmt.Errorf("network %s: argument %q is not K=V", name, kv)
				}
				r.Args[k] = v
			}
		}
		reqs = append(reqs, r)
	}
	return poddir.NetworkPlugin, reqs, nil
}

func parseGIDs(s string) ([]uint32, error) {
	out := []uint32{}
	for _, g := range strings.Split(s, ",") {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no group number", g)
		}
		out = append(out, uint32(n))
	}
	return out, nil
}

func parseShares(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < 2 || n > 262144 {
		return 0, fmt.Errorf("%q is not between 2 and 262144", s)
	}
	return n, nil
}

func parseOOM(s string) (*int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < -1000 || n > 1000 {
		return nil, fmt.Errorf("%q is not between -1000 and 1000", s)
	}
	return &n, nil
}

func parseList(s string) ([]string, error) { return strings.Split(s, ","), nil }

// parseHostsEntry reads IP=NAME[,NAME] into a line of /etc/hosts.
func parseHostsEntry(s string) (string, error) {
	ip, names, ok := strings.Cut(s, "=")
	if _, err := parseAddr(ip); err != nil || !ok {
		return "", fmt.Errorf("%q is not IP=NAME[,NAME] or host", s)
	}
	for _, n := range strings.Split(names, ",") {
		if !dnsName.MatchString(n) {
			return "", fmt.Errorf("%q is no host name", n)
		}
	}
	return ip + " " + strings.ReplaceAll(names, ",", " "), nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return a, fmt.Errorf("%q is no IP address", s)
	}
	return a, nil
}

// expression is compiled at its first use, not at every start of every command.
type expression func() *regexp.Regexp

func lazily(expr string) expression {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// MatchString is regexp.Regexp's.
func (e expression) MatchString(s string) bool { return e().MatchString(s) }
