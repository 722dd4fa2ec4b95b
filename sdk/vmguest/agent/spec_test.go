package agent

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func fullSpec() *PodSpec {
	s := podSpec()
	s.Pod.Apps[0].Rootfs.Layers = []string{"/l"}
	s.Pod.Volumes = []poddir.Volume{{Name: "v", Kind: poddir.VolumeHost, Source: "/x"}}
	s.Layers = []Layer{{Path: "/l", Disk: &Disk{Device: Device{Serial: "l0"}, FSType: "erofs"}}}
	s.Upper = &Disk{Device: Device{Index: 1}, FSType: "ext4"}
	s.Volumes = []Volume{{Name: "v", Kind: VolumeShare, Share: &Share{Kind: Virtiofs, Tag: "v0", Path: "a/b"}}}
	s.Interfaces = []Interface{{MAC: "02:00:00:00:00:01", Name: "eth0", Addresses: []string{"192.0.2.1/32"}, Routes: []poddir.Route{{Destination: "::/0", Gateway: "fe80::1"}}}}
	s.Etc = map[string][]byte{"hosts": []byte("127.0.0.1 localhost\n")}
	s.Seed = []byte{1, 2, 3}
	return s
}

func TestSpecTravels(t *testing.T) {
	s := fullSpec()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	got := new(PodSpec)
	if err := json.Unmarshal(b, got); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%s\n%+v, %v", b, got, err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*PodSpec){
		"no apps":                     func(s *PodSpec) { s.Pod.Apps = nil },
		"cannot be a file's name":     func(s *PodSpec) { s.Pod.Apps[0].Name = "../a" },
		"no device or share holds":    func(s *PodSpec) { s.Layers = nil },
		"exactly one disk or share":   func(s *PodSpec) { s.Layers[0].Share = &Share{Kind: NineP, Tag: "x"} },
		"more than 20 bytes":          func(s *PodSpec) { s.Layers[0].Disk.Device.Serial = strings.Repeat("x", 21) },
		"no file system type":         func(s *PodSpec) { s.Layers[0].Disk.FSType = "" },
		"negative":                    func(s *PodSpec) { s.Upper.Device.Index = -1 },
		"as a whole":                  func(s *PodSpec) { s.Upper.Subdir = "x" },
		"nothing says where":          func(s *PodSpec) { s.Volumes = nil },
		"clean path":                  func(s *PodSpec) { s.Volumes[0].Share.Path = "../../etc" },
		"has no tag":                  func(s *PodSpec) { s.Volumes[0].Share.Tag = "" },
		"names no disk":               func(s *PodSpec) { s.Volumes[0].Kind = VolumeDevice },
		`kind "cloud" is unknown`:     func(s *PodSpec) { s.Volumes[0].Kind = "cloud" },
		`share kind "nfs" is unknown`: func(s *PodSpec) { s.Volumes[0].Share.Kind = "nfs" },
		"is not a plain name":         func(s *PodSpec) { s.Etc["../x"] = nil },
		"no name of a link":           func(s *PodSpec) { s.Interfaces[0].Name = "a/b" },
		`address "192.0.2.1"`:         func(s *PodSpec) { s.Interfaces[0].Addresses = []string{"192.0.2.1"} },
		`by "gw"`:                     func(s *PodSpec) { s.Interfaces[0].Routes[0].Gateway = "gw" },
	} {
		s := fullSpec()
		change(s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
