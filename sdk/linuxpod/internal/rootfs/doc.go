// Package rootfs assembles an app's root in a mount namespace of its own: the overlay of shared layers, the
// kernel's file systems with what an app must not see masked, a minimal /dev, the pod's identity files, the
// volumes. It ends with pivot_root, so that nothing of the host's tree is reachable.
//
// Everything happens in the calling thread, which PID 1 of the pod has locked and taken apart from the others
// (unshare of the mount namespace); the working directory is the pod directory. A thread that has built a
// root never goes back.
//
// Invariants: targets are resolved inside the root by the kernel (openat2) and mounted on as descriptors;
// nothing of the image is executed; no mount is visible in the host's namespace at any time.
package rootfs
