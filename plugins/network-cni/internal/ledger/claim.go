package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
)

// claim is one line of a port's file.
type claim struct {
	ip        netip.Addr // invalid: every address
	pod, boot string
}

// Claim takes a host port for a pod. It gives *TakenError when another pod of this boot has it on an overlapping
// address. The caller holds the lock.
func (d *Dir) Claim(p Port, pod string) error {
	claims, err := d.claims(p)
	if err != nil {
		return fmt.Errorf("claim port %s: %w", p, err)
	}
	keep := claims[:0]
	for _, c := range claims {
		if c.boot != d.boot {
			continue
		}
		if c.pod == pod && c.ip == p.HostIP {
			return nil
		}
		if c.pod != pod && Overlap(c.ip, p.HostIP) {
			return &TakenError{Pod: c.pod}
		}
		keep = append(keep, c)
	}
	return d.writeClaims(p, append(keep, claim{p.HostIP, pod, d.boot}))
}

// Unclaim gives a host port back, if the pod has it. The caller holds the lock.
func (d *Dir) Unclaim(p Port, pod string) error {
	return d.dropClaims(claimName(p), func(c claim) bool { return c.pod == pod })
}

// SweepClaims drops the claims of pods that keep does not know. The caller holds the lock.
func (d *Dir) SweepClaims(keep func(pod string) bool) error {
	names, err := d.names("ports")
	if err != nil {
		return fmt.Errorf("list claimed ports: %w", err)
	}
	for _, n := range names {
		if err := d.dropClaims("ports/"+n, func(c claim) bool { return !keep(c.pod) }); err != nil {
			return err
		}
	}
	return nil
}

// Overlap says whether two host addresses, invalid meaning all, can both get one packet.
func Overlap(a, b netip.Addr) bool {
	all := func(x netip.Addr, like netip.Addr) bool {
		return !x.IsValid() || x.IsUnspecified() && (!like.IsValid() || x.Is4() == like.Is4())
	}
	return a == b || all(a, b) || all(b, a)
}

func (d *Dir) dropClaims(name string, drop func(claim) bool) error {
	claims, err := d.readClaims(name)
	if err != nil {
		return fmt.Errorf("give back port: %w", err)
	}
	var keep []claim
	for _, c := range claims {
		if !drop(c) {
			keep = append(keep, c)
		}
	}
	if len(keep) == len(claims) && len(claims) > 0 {
		return nil
	}
	return d.write(name, keep)
}

func (d *Dir) claims(p Port) ([]claim, error)           { return d.readClaims(claimName(p)) }
func (d *Dir) writeClaims(p Port, claims []claim) error { return d.write(claimName(p), claims) }
func claimName(p Port) string {
	return "ports/" + p.Protocol + "-" + strconv.Itoa(int(p.HostPort))
}

func (d *Dir) readClaims(name string) ([]claim, error) {
	b, err := d.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseClaims(b), nil
}

// parseClaims leaves out what it cannot read: only a power cut tears these files, and it ends every claim.
func parseClaims(b []byte) []claim {
	var claims []claim
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		c := claim{pod: f[1], boot: f[2]}
		if f[0] != "*" {
			ip, err := netip.ParseAddr(f[0])
			if err != nil {
				continue
			}
			c.ip = ip
		}
		claims = append(claims, c)
	}
	return claims
}

func (d *Dir) write(name string, claims []claim) error {
	var err error
	if len(claims) == 0 {
		if err = d.root.Remove(name); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		var sb strings.Builder
		for _, c := range claims {
			ip := "*"
			if c.ip.IsValid() {
				ip = c.ip.String()
			}
			sb.WriteString(ip + " " + c.pod + " " + c.boot + "\n")
		}
		err = d.replace(name, []byte(sb.String()), false)
	}
	if err != nil {
		return fmt.Errorf("write port claim: %w", err)
	}
	return nil
}
