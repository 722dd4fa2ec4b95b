package user

import (
	"strings"
)

// passwdEntry is one usable line of passwd(5).
type passwdEntry struct {
	name, home, shell string
	uid, gid          uint32
}

// groupEntry is one usable line of group(5).
type groupEntry struct {
	name    string
	gid     uint32
	members []string
}

// passwdLines skips lines that make no sense, as libc does.
func passwdLines(b []byte) []passwdEntry {
	var out []passwdEntry
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(f) < 4 || f[0] == "" || strings.HasPrefix(f[0], "#") {
			continue
		}
		uid, err1 := parseID(f[2])
		gid, err2 := parseID(f[3])
		if err1 != nil || err2 != nil {
			continue
		}
		e := passwdEntry{name: f[0], uid: uid, gid: gid}
		if len(f) > 5 {
			e.home = f[5]
		}
		if len(f) > 6 {
			e.shell = f[6]
		}
		out = append(out, e)
	}
	return out
}

func groupLines(b []byte) []groupEntry {
	var out []groupEntry
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(f) < 3 || f[0] == "" || strings.HasPrefix(f[0], "#") {
			continue
		}
		gid, err := parseID(f[2])
		if err != nil {
			continue
		}
		g := groupEntry{name: f[0], gid: gid}
		if len(f) > 3 && f[3] != "" {
			g.members = strings.Split(f[3], ",")
		}
		out = append(out, g)
	}
	return out
}
