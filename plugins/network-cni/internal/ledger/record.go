package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
)

// RecordVersion is the version of a record's format.
const RecordVersion = 1

// Record says what a pod was given. It is written before the first change it tells of.
type Record struct {
	Version     int          `json:"version"`
	Pod         string       `json:"pod"`
	Boot        string       `json:"boot"`
	StateDir    string       `json:"state_dir"` // where the pod was when it was set up; the pod may have moved since
	Attachments []Attachment `json:"attachments"`
	Ports       []Port       `json:"ports,omitempty"` // all that the pod claimed
	Gone        bool         `json:"gone,omitempty"`  // teardown has begun: its rules must not be put back
}

// Attachment is one network of a pod, in the order of the request.
type Attachment struct {
	Network string            `json:"network"`
	IfName  string            `json:"ifname"`
	Config  json.RawMessage   `json:"config"` // the conflist as it was then: DEL must not see later edits
	Args    map[string]string `json:"args,omitempty"`
	Ports   []Port            `json:"ports,omitempty"` // those that this network publishes
	Link    *Link             `json:"link,omitempty"`  // set for a network of the built-in type
}

// Link is what the built-in type realizes: a veth pair with its addresses.
type Link struct {
	HostIf       string       `json:"host_if"`
	HostMAC      string       `json:"host_mac"`
	PodMAC       string       `json:"pod_mac"`
	MTU          int          `json:"mtu"`
	IP4          netip.Addr   `json:"ip4,omitzero"`
	IP6          netip.Addr   `json:"ip6,omitzero"`
	Gateway4     netip.Addr   `json:"gateway4,omitzero"`
	Gateway6     netip.Addr   `json:"gateway6,omitzero"`
	Subnet4      netip.Prefix `json:"subnet4,omitzero"`
	Subnet6      netip.Prefix `json:"subnet6,omitzero"`
	Masquerade   bool         `json:"masquerade,omitempty"`
	DefaultRoute bool         `json:"default_route,omitempty"`
}

// Port is a published port. An invalid HostIP means every address of the host, both families.
type Port struct {
	Protocol string     `json:"protocol"`
	HostIP   netip.Addr `json:"host_ip,omitzero"`
	HostPort uint16     `json:"host_port"`
	PodPort  uint16     `json:"pod_port"`
}

func (p Port) String() string {
	s := strconv.Itoa(int(p.HostPort)) + "/" + p.Protocol
	if p.HostIP.IsValid() {
		s += " on " + p.HostIP.String()
	}
	return s
}

// validPod says whether s can be a file's name and a pod's.
func validPod(s string) bool {
	for i, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' && i > 0) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Load reads the record of a pod. A pod without one gives nil and no error.
func (d *Dir) Load(pod string) (*Record, error) {
	if !validPod(pod) {
		return nil, fmt.Errorf("read network record: %q is not a pod's name", pod)
	}
	b, err := d.root.ReadFile("pods/" + pod)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read network record of pod %s: %w", pod, err)
	}
	return decodeRecord(pod, b)
}

// ErrTorn is what a record gives that a power cut left half written.
var ErrTorn = errors.New("record is damaged")

func decodeRecord(pod string, b []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read network record of pod %s: %w: %w", pod, ErrTorn, err)
	}
	if r.Version != RecordVersion {
		return nil, fmt.Errorf("read network record of pod %s: version is %d, this plugin reads %d; "+
			"tear the pod down with the plugin that set it up", pod, r.Version, RecordVersion)
	}
	if r.Pod != pod {
		return nil, fmt.Errorf("read network record of pod %s: %w: it speaks of pod %q", pod, ErrTorn, r.Pod)
	}
	return &r, nil
}

// Save writes the record of a pod.
func (d *Dir) Save(r *Record) error {
	r.Version, r.Boot = RecordVersion, d.boot
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write network record of pod %s: %w", r.Pod, err)
	}
	if err := d.replace("pods/"+r.Pod, b, false); err != nil {
		return fmt.Errorf("write network record of pod %s: %w", r.Pod, err)
	}
	return nil
}

// Current says whether r was written since the host booted: if not, its links and rules died with that boot.
func (d *Dir) Current(r *Record) bool { return r.Boot == d.boot }

// Remove deletes the record of a pod.
func (d *Dir) Remove(pod string) error {
	if err := d.root.Remove("pods/" + pod); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove network record of pod %s: %w", pod, err)
	}
	return nil
}

// Pods returns the names of all pods with a record.
func (d *Dir) Pods() ([]string, error) {
	names, err := d.names("pods")
	if err != nil {
		return nil, fmt.Errorf("list network records: %w", err)
	}
	return names, nil
}

// Records reads every record of this boot whose teardown has not begun. Damaged ones are left out: a record is only ever torn by a power
// cut, so what it told of is gone.
func (d *Dir) Records() ([]*Record, error) {
	pods, err := d.Pods()
	if err != nil {
		return nil, err
	}
	var all []*Record
	for _, pod := range pods {
		r, err := d.Load(pod)
		if errors.Is(err, ErrTorn) || err == nil && (r == nil || r.Gone || !d.Current(r)) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func (d *Dir) names(dir string) ([]string, error) {
	f, err := d.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	names := all[:0]
	for _, n := range all {
		if n[0] != '.' { // a temporary file
			names = append(names, n)
		}
	}
	return names, nil
}

// replace writes a file so that readers see the old bytes or the new ones. Callers hold the lock, so one
// temporary name is enough, and what an earlier writer left there is overwritten.
func (d *Dir) replace(name string, b []byte, durable bool) error {
	tmp := dirOf(name) + ".tmp"
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && durable {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.root.Rename(tmp, name)
	}
	return err
}
