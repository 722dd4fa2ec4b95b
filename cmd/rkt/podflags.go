package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/network"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// prepareFlags are the flags of a pod that are fixed at prepare.
type prepareFlags struct {
	spec       engine.PodSpec
	pullPolicy string
	inheritEnv bool
	envFile    string
}

func (p *prepareFlags) add(f *pflag.FlagSet) {
	f.StringVar(&p.spec.Stage1, "stage1", "", "isolation `flavor` (linux, qemu, ...), a plugin's name, or its directory")
	f.Var(appended(&p.spec.Volumes, parseVolume), "volume", "`volume` for mounts: NAME,kind=host,source=PATH[,readOnly=true][,recursive=false], or NAME,kind=empty[,mode=0755][,uid=0][,gid=0]; repeatable")
	f.Var(appended(&p.spec.Mounts, parseMount), "mount", "`mount` in every app: volume=NAME,target=PATH[,readOnly=true]; repeatable")
	f.Var(appended(&p.spec.Ports, parsePort), "port", "`port` to publish: NAME:[HOSTIP:]HOSTPORT, where NAME is the image's for it, or a number such as 80 or 53-udp; repeatable")
	f.Var(appended(&p.spec.Env, parseEnv), "set-env", "`variable` of every app's environment, NAME=VALUE; repeatable")
	f.StringVar(&p.envFile, "set-env-file", "", "`file` of NAME=VALUE lines for every app")
	f.BoolVar(&p.inheritEnv, "inherit-env", false, "give apps the caller's environment, below the image's own")
	f.StringVar(&p.spec.Hostname, "hostname", "", "host `name` of the pod (default rkt-UUID)")
	f.StringVar(&p.pullPolicy, "pull-policy", "new", "when to ask an image's origin: never, new (if not stored) or update")
	f.BoolVar(&p.spec.Interactive, "interactive", false, "give the pod's one app the terminal, or standard input")
	f.Var(annotation(&p.spec.Annotations), "annotation", "`annotation` that the pod's manifest carries, NAME=VALUE; repeatable")
}

// build reads the words after the flags of cmd and checks what needs no image.
func (p *prepareFlags) build(cmd *cobra.Command, words []string) (engine.PodSpec, error) {
	if cmd.ArgsLenAtDash() == 0 {
		return engine.PodSpec{}, usagef("-- opens the arguments of an image: it must follow an image")
	}
	spec := p.spec
	var err error
	if spec.Apps, err = parseApps(words); err != nil {
		return spec, err
	}
	if len(spec.Apps) == 0 {
		return spec, usagef("no image given")
	}
	if spec.PullPolicy, err = parsePolicy(p.pullPolicy); err != nil {
		return spec, err
	}
	if p.envFile != "" {
		if spec.EnvFile, err = parseEnvFile(p.envFile); err != nil {
			return spec, err
		}
	}
	if p.inheritEnv {
		spec.InheritEnv = os.Environ()
	}
	if spec.Hostname != "" && (!dnsName.MatchString(spec.Hostname) || len(spec.Hostname) > 64) {
		return spec, usagef("--hostname: %q is no host name of at most 64 characters", spec.Hostname)
	}
	if spec.Interactive {
		if len(spec.Apps) > 1 {
			return spec, usagef("--interactive: there is one terminal, so the pod can have one app only")
		}
		spec.Terminal = term.IsTerminal(0) && term.IsTerminal(1)
	}
	return spec, checkSpec(spec)
}

// checkSpec refuses what contradicts itself.
func checkSpec(spec engine.PodSpec) error {
	seen := map[string]bool{}
	for _, v := range spec.Volumes {
		if seen[v.Name] {
			return usagef("--volume: two volumes are called %q", v.Name)
		}
		seen[v.Name] = true
	}
	seen = map[string]bool{}
	for _, kv := range spec.Env {
		k, _, _ := strings.Cut(kv, "=")
		if seen[k] {
			return usagef("--set-env: %s is given twice", k)
		}
		seen[k] = true
	}
	return nil
}

func parsePolicy(s string) (engine.PullPolicy, error) {
	switch p := engine.PullPolicy(s); p {
	case engine.PullNever, engine.PullNew, engine.PullUpdate:
		return p, nil
	}
	return "", usagef("--pull-policy: %q is none of never, new, update", s)
}

// startFlags are the flags of a pod that belong to its start.
type startFlags struct {
	nets      []string
	dns       []string
	dnsSearch []string
	dnsOpt    []string
	dnsDomain string
	hosts     []string
	opts      engine.RunOptions
}

func (s *startFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&s.nets, "net", nil, "`networks` of the pod, by name: NAME[:K=V[;K=V]], or host, or none (default \"default\")")
	f.Lookup("net").NoOptDefVal = "default"
	f.StringSliceVar(&s.dns, "dns", nil, "name servers' `addresses`, or host (the host's resolv.conf), or none (the image's)")
	f.StringSliceVar(&s.dnsSearch, "dns-search", nil, "search `domains`")
	f.StringSliceVar(&s.dnsOpt, "dns-opt", nil, "resolver `options`")
	f.StringVar(&s.dnsDomain, "dns-domain", "", "local `domain`")
	f.StringArrayVar(&s.hosts, "hosts-entry", nil, "`entry` of /etc/hosts, IP=NAME[,NAME], or host (the host's file); repeatable")
	f.StringVar(&s.opts.UUIDFileSave, "uuid-file-save", "", "`file` to write the pod's UUID to, as soon as it has one")
	f.BoolVar(&s.opts.Detached, "detach", false, "leave the pod in the background once its apps have started; print its UUID")
	f.BoolVar(&s.opts.Remove, "rm", false, "remove the pod when it ends")
}

func (s *startFlags) build() (engine.RunOptions, error) {
	o := s.opts
	var err error
	if o.Network, o.Networks, err = parseNet(s.nets); err != nil {
		return o, usagef("--net: %w", err)
	}
	id := &o.Identity
	id.DNS = poddir.DNS{Search: s.dnsSearch, Options: s.dnsOpt, Domain: s.dnsDomain}
	if len(s.dnsSearch)+len(s.dnsOpt) > 0 || s.dnsDomain != "" {
		id.DNSMode = network.DNSFlags
	}
	for _, d := range s.dns {
		switch {
		case d == "host" || d == "none":
			if len(s.dns) > 1 || id.DNSMode != network.DNSDefault {
				return o, usagef("--dns=%s excludes every other --dns flag", d)
			}
			id.DNSMode = network.DNSMode(d)
		default:
			if _, err := parseAddr(d); err != nil {
				return o, usagef("--dns: %w", err)
			}
			id.DNSMode = network.DNSFlags
			id.DNS.Nameservers = append(id.DNS.Nameservers, d)
		}
	}
	for _, h := range s.hosts {
		if h == "host" {
			id.HostsOf = true
			continue
		}
		line, err := parseHostsEntry(h)
		if err != nil {
			return o, usagef("--hosts-entry: %w", err)
		}
		id.Hosts = append(id.Hosts, line)
	}
	return o, nil
}

// withApps describes the grammar after the images in a verb's help.
func withApps(c *cobra.Command) *cobra.Command {
	c.Flags().SetInterspersed(false)
	c.Long = strings.TrimSpace(c.Long) + `

After the pod's flags come images, each with flags of its own and arguments after "--"; "---" ends the
arguments when another image follows. Flags of an app:
` + strings.TrimRight(appFlags(&engine.AppSpec{}).FlagUsagesWrapped(helpWidth), "\n")
	return c
}
