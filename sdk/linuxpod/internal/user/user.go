package user

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
)

// maxFile bounds passwd and group.
const maxFile = 1 << 20

// ID is who a process is.
type ID struct {
	UID, GID uint32
	Groups   []uint32 // supplementary, sorted
	Name     string   // empty when passwd does not know the uid
	Home     string
	Shell    string
}

// Lookup resolves the user and group of an app. root is the app's root directory. user is "name", "uid",
// "name:group" or "/path", whose owner counts; group, when given, overrides the group part. extra are
// supplementary groups asked for by number; a named user also has those of /etc/group.
func Lookup(root int, user, group string, extra []uint32) (ID, error) {
	passwd, err := read(root, "etc/passwd")
	if err != nil {
		return ID{}, err
	}
	groups, err := read(root, "etc/group")
	if err != nil {
		return ID{}, err
	}
	if !strings.HasPrefix(user, "/") {
		if u, g, ok := strings.Cut(user, ":"); ok {
			user = u
			if group == "" {
				group = g
			}
		}
	}
	id := ID{Groups: slices.Clone(extra)}
	entry, err := id.user(root, user, passwd)
	if err != nil {
		return ID{}, err
	}
	if entry != nil {
		id.GID, id.Name, id.Home, id.Shell = entry.gid, entry.name, entry.home, entry.shell
	}
	if err := id.group(root, group, groups); err != nil {
		return ID{}, err
	}
	// Like login(1): memberships belong to a user who is known, and only when no group was chosen.
	if id.Name != "" && group == "" {
		for _, g := range groupLines(groups) {
			if slices.Contains(g.members, id.Name) {
				id.Groups = append(id.Groups, g.gid)
			}
		}
	}
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	if id.Home == "" {
		id.Home = "/"
	}
	return id, nil
}

// user sets the uid, and returns the passwd entry that goes with it.
func (id *ID) user(root int, user string, passwd []byte) (*passwdEntry, error) {
	entries := passwdLines(passwd)
	byUID := func(uid uint32) *passwdEntry {
		i := slices.IndexFunc(entries, func(e passwdEntry) bool { return e.uid == uid })
		if i < 0 {
			return nil
		}
		return &entries[i]
	}
	switch {
	case user == "":
	case strings.HasPrefix(user, "/"):
		st, err := owner(root, user)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w", user, err)
		}
		id.UID, id.GID = st.Uid, st.Gid
		if e := byUID(id.UID); e != nil {
			return e, nil
		}
		return nil, nil
	default:
		// A name made of digits is a name first, as in the field.
		if i := slices.IndexFunc(entries, func(e passwdEntry) bool { return e.name == user }); i >= 0 {
			id.UID = entries[i].uid
			return &entries[i], nil
		}
		uid, err := parseID(user)
		if err != nil {
			if user == "root" {
				return nil, nil // an image without passwd has a root all the same
			}
			return nil, fmt.Errorf("user %q is neither a number nor in the image's /etc/passwd", user)
		}
		id.UID = uid
	}
	return byUID(id.UID), nil
}

func (id *ID) group(root int, group string, file []byte) error {
	switch {
	case group == "":
		return nil
	case strings.HasPrefix(group, "/"):
		st, err := owner(root, group)
		if err != nil {
			return fmt.Errorf("group %q: %w", group, err)
		}
		id.GID = st.Gid
		return nil
	}
	for _, g := range groupLines(file) {
		if g.name == group {
			id.GID = g.gid
			return nil
		}
	}
	gid, err := parseID(group)
	if err != nil {
		if group == "root" {
			id.GID = 0
			return nil
		}
		return fmt.Errorf("group %q is neither a number nor in the image's /etc/group", group)
	}
	id.GID = gid
	return nil
}

func owner(root int, path string) (*unix.Stat_t, error) {
	fd, err := mnt.Open(root, path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	return &st, unix.Fstat(fd, &st)
}

// parseID reads a uid or gid. The largest number means "leave as it is" to the kernel, so it is refused.
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 {
		return 0, fmt.Errorf("%q is no id", s)
	}
	return uint32(n), nil
}

// read returns the content of a file of the image; a missing one is empty.
func read(root int, name string) ([]byte, error) {
	// O_PATH first: opening a device or a fifo can have effects or block.
	fd, err := mnt.Open(root, name, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the image's /%s: %w", name, err)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	unix.Close(fd)
	if err != nil {
		return nil, fmt.Errorf("open the image's /%s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("the image's /%s is not a regular file", name)
	}
	fd, err = mnt.Open(root, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, fmt.Errorf("open the image's /%s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	// Again on what was opened: another app of the pod may have it on a shared volume.
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("the image's /%s is not a regular file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the image's /%s: %w", name, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("the image's /%s is larger than %d bytes", name, maxFile)
	}
	return b, nil
}
