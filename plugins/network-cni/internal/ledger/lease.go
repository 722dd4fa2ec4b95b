package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
)

// TakenError says who holds an address or a port.
type TakenError struct{ Pod string }

func (e *TakenError) Error() string { return "held by pod " + e.Pod }

// Lease takes an address of a network for a pod. It gives *TakenError when another pod of this boot holds it;
// taking it twice is no error. The caller holds the lock.
func (d *Dir) Lease(network string, ip netip.Addr, pod string) error {
	name := leaseName(network, ip)
	holder, err := d.holder(name)
	switch {
	case err != nil:
		return fmt.Errorf("lease %s of network %s: %w", ip, network, err)
	case holder == pod:
		return nil
	case holder != "":
		return &TakenError{Pod: holder}
	}
	err = d.replace(name, []byte(pod+" "+d.boot+"\n"), false)
	if errors.Is(err, fs.ErrNotExist) { // the network's first lease
		if err = d.root.Mkdir("leases/"+network, 0o700); err == nil {
			err = d.replace(name, []byte(pod+" "+d.boot+"\n"), false)
		}
	}
	if err != nil {
		return fmt.Errorf("lease %s of network %s: %w", ip, network, err)
	}
	return nil
}

// Free says whether an address can be leased by anybody. The caller holds the lock.
func (d *Dir) Free(network string, ip netip.Addr) (bool, error) {
	holder, err := d.holder(leaseName(network, ip))
	return holder == "", err
}

// Release gives an address back, if the pod holds it. The caller holds the lock.
func (d *Dir) Release(network string, ip netip.Addr, pod string) error {
	name := leaseName(network, ip)
	holder, err := d.rawHolder(name)
	if err == nil && holder == pod {
		err = d.root.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release %s of network %s: %w", ip, network, err)
	}
	return nil
}

// Leases calls f for every lease, whatever its boot.
func (d *Dir) Leases(f func(network string, ip netip.Addr, pod string) error) error {
	networks, err := d.names("leases")
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for _, n := range networks {
		ips, err := d.names("leases/" + n)
		if err != nil {
			return fmt.Errorf("list leases of network %s: %w", n, err)
		}
		for _, s := range ips {
			ip, err := netip.ParseAddr(s)
			if err != nil {
				continue // not ours
			}
			pod, err := d.rawHolder(leaseName(n, ip))
			if err != nil {
				return fmt.Errorf("read lease %s of network %s: %w", s, n, err)
			}
			if err := f(n, ip, pod); err != nil {
				return err
			}
		}
	}
	return nil
}

// DropLease removes a lease whoever holds it. The caller holds the lock.
func (d *Dir) DropLease(network string, ip netip.Addr) error {
	if err := d.root.Remove(leaseName(network, ip)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop lease %s of network %s: %w", ip, network, err)
	}
	return nil
}

// RemoveEmpty removes the directories of networks without leases, best effort.
func (d *Dir) RemoveEmpty() {
	networks, _ := d.names("leases")
	for _, n := range networks {
		_ = d.root.Remove("leases/" + n + "/.tmp")
		_ = d.root.Remove("leases/" + n) // fails when a lease is left, as it should
	}
}

func leaseName(network string, ip netip.Addr) string { return "leases/" + network + "/" + ip.String() }

// holder is the pod of a lease of this boot, or "".
func (d *Dir) holder(name string) (string, error) {
	b, err := d.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(b))
	if len(f) != 2 || f[1] != d.boot {
		return "", nil // of an earlier boot, or torn by its end
	}
	return f[0], nil
}

func (d *Dir) rawHolder(name string) (string, error) {
	b, err := d.root.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	pod, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return pod, nil
}

// InUse says whether a network has a lease of this boot. The caller holds the lock.
func (d *Dir) InUse(network string) (bool, error) {
	ips, err := d.names("leases/" + network)
	if err != nil {
		return false, fmt.Errorf("list leases of network %s: %w", network, err)
	}
	for _, s := range ips {
		if pod, err := d.holder("leases/" + network + "/" + s); err != nil || pod != "" {
			return true, err
		}
	}
	return false, nil
}
