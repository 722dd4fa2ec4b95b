package network_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/sdk/network"
)

// pool gives each pod an address of 10.1.0.0/24, and makes no link. Its main is one line:
//
//	network.Main(network.Info{Name: "network-pool", Version: "1.0.0", Types: []string{"pool"}}, pool{})
type pool struct{}

// Setup answers a pod that has an address with the same one: it may be asked twice, also after a kill. The lease
// is a file that is made whole or not at all.
func (pool) Setup(_ context.Context, req network.SetupRequest) (network.Setup, error) {
	got := network.Setup{DNS: network.DNS{Nameservers: []string{"10.1.0.1"}}}
	for n := 2; n < 255; n++ {
		lease := filepath.Join(req.SharedDir, fmt.Sprintf("10.1.0.%d", n))
		err := os.Symlink(req.UUID, lease)
		if owner, rerr := os.Readlink(lease); err != nil && (rerr != nil || owner != req.UUID) {
			continue
		}
		got.Interfaces = []network.Interface{{Network: "pool", Name: "eth0", Addresses: []string{filepath.Base(lease) + "/24"}}}
		b, err := json.Marshal(got)
		if err != nil {
			return got, err
		}
		return got, os.WriteFile(filepath.Join(req.StateDir, "lease.json"), b, 0o600)
	}
	return got, network.AddressInUse("10.1.0.0/24 has no address left")
}

// Teardown succeeds when there is nothing to undo, whatever is gone already.
func (pool) Teardown(_ context.Context, pod network.Pod) error {
	leases, err := filepath.Glob(filepath.Join(pod.SharedDir, "*"))
	if err != nil {
		return err
	}
	for _, l := range leases {
		if owner, err := os.Readlink(l); err == nil && owner == pod.UUID {
			if err := os.Remove(l); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func Example() {
	dir, err := os.MkdirTemp("", "network-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	for _, uuid := range []string{"first", "second", "first"} {
		got, err := pool{}.Setup(ctx, network.SetupRequest{Pod: network.Pod{UUID: uuid, StateDir: dir, SharedDir: dir, Netns: -1}})
		fmt.Println(uuid, got.Interfaces[0].Addresses, err)
	}
	gone := network.Pod{UUID: "first", SharedDir: dir, Netns: -1}
	fmt.Println(pool{}.Teardown(ctx, gone), pool{}.Teardown(ctx, gone))
	// Output:
	// first [10.1.0.2/24] <nil>
	// second [10.1.0.3/24] <nil>
	// first [10.1.0.2/24] <nil>
	// <nil> <nil>
}
