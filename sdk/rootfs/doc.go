// Package rootfs mounts what core has unpacked: an app's image as its root file system.
//
// pod.json names the layers as directories, the lowest first, with whiteouts in overlayfs's form, shared by all pods and
// never written to. What an app writes goes to apps/NAME/upper of the pod directory.
//
// Owned here: that one mount. Not owned: volumes, /proc, /sys, /dev and confinement (sdk/linuxpod has all of that for
// flavors in Linux namespaces), and how a flavor whose apps are no processes of the host shows layers to them.
//
// Invariant: nothing is ever mounted in the host's mount namespace.
package rootfs
