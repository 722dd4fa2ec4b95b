package engine

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rkt/rkt/v2/core/store"
	"github.com/rkt/rkt/v2/proto/poddir"
)

type imagePort struct {
	app      string
	name     string
	protocol string
	port     uint16
}

// ports finds what each --port means: a port that an image names, or a number ("80", "53/udp", "53-udp").
func ports(specs []PortSpec, apps []poddir.App, imgs []*store.Image) ([]poddir.Port, error) {
	named := imagePorts(apps, imgs)
	var out []poddir.Port
	for _, s := range specs {
		p, err := findPort(s, named)
		if err != nil {
			return nil, err
		}
		for _, o := range out {
			if o.HostPort == p.HostPort && o.Protocol == p.Protocol && (o.HostIP == p.HostIP || o.HostIP == "" || p.HostIP == "") {
				return nil, fmt.Errorf("--port: host port %d/%s is given twice (for %s and %s)", p.HostPort, p.Protocol, o.Name, p.Name)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

func findPort(s PortSpec, named []imagePort) (poddir.Port, error) {
	p := poddir.Port{Name: s.Name, HostIP: s.HostIP, HostPort: s.HostPort}
	var hits []imagePort
	for _, n := range named {
		if n.name == s.Name {
			hits = append(hits, n)
		}
	}
	switch len(hits) {
	case 1:
		p.Protocol, p.PodPort = hits[0].protocol, hits[0].port
		return p, nil
	case 0:
		if port, proto, ok := numberedPort(s.Name); ok {
			p.Protocol, p.PodPort = proto, port
			return p, nil
		}
		var known []string
		for _, n := range named {
			known = append(known, n.name)
		}
		return p, fmt.Errorf("--port: no image of this pod names a port %q (they name: %s; a number such as 80 or 53/udp works too)", s.Name, orNone(known))
	default:
		return p, fmt.Errorf("--port: %q is a port of the apps %s and %s: give its number instead", s.Name, hits[0].app, hits[1].app)
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func numberedPort(s string) (uint16, string, bool) {
	num, proto, found := strings.Cut(strings.Replace(s, "-", "/", 1), "/")
	if !found {
		proto = "tcp"
	}
	n, err := strconv.ParseUint(num, 10, 16)
	if err != nil || n == 0 || proto != "tcp" && proto != "udp" && proto != "sctp" {
		return 0, "", false
	}
	return uint16(n), proto, true
}

// imagePorts lists an ACI's named ports and an OCI image's exposed ones, these by the name that the first rkt
// gave them ("80-tcp").
func imagePorts(apps []poddir.App, imgs []*store.Image) []imagePort {
	var out []imagePort
	for i, img := range imgs {
		if img.App != nil && len(img.App.Ports) > 0 {
			for _, p := range img.App.Ports {
				out = append(out, imagePort{apps[i].Name, p.Name, p.Protocol, p.Port})
			}
			continue
		}
		for _, exposed := range sortedKeys(img.Config.Config.ExposedPorts) {
			if port, proto, ok := numberedPort(exposed); ok {
				out = append(out, imagePort{apps[i].Name, fmt.Sprintf("%d-%s", port, proto), proto, port})
			}
		}
	}
	return out
}
