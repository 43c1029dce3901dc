package cpu

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// cgroupMemory gives the smallest memory limit of the control groups that the process is in, and what an error calls
// it; 0 where there is none. A group is held by the limits of all groups above it, as far as they can be seen from its
// mount. root is the root of the file system. Source: https://docs.kernel.org/admin-guide/cgroup-v2.html,
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html and proc(5).
func cgroupMemory(root fs.FS) (limit int64, name string) {
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	mounts, _ := fs.ReadFile(root, "proc/self/mountinfo")
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		kind, file := "", ""
		switch controllers := strings.Split(parts[1], ","); {
		case parts[0] == "0" && parts[1] == "":
			kind, file = "cgroup2", "memory.max"
		case slices.Contains(controllers, "memory"):
			kind, file = "cgroup", "memory.limit_in_bytes"
		default:
			continue
		}
		at, below := cgroupMount(string(mounts), kind, path.Clean("/"+parts[2]))
		if at == "" {
			continue
		}
		for group := below; ; group = path.Dir(group) {
			text, _ := fs.ReadFile(root, strings.TrimPrefix(path.Join(at, group, file), "/"))
			// "max", and in version 1 a number near 2^63, mean no limit.
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err == nil && n < 1<<62 && (name == "" || n < limit) {
				limit, name = n, "the cgroup "+group+" ("+file+")"
			}
			if group == "/" {
				break
			}
		}
	}
	return limit, name
}

// cgroupMount finds where a hierarchy is mounted and the place of a group below that, "/" if the group itself cannot be
// seen there, as in a container.
func cgroupMount(mountinfo, kind, group string) (at, below string) {
	for line := range strings.Lines(mountinfo) {
		mount, system, found := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(mount), strings.Fields(system)
		if !found || len(fields) < 5 || len(kinds) < 3 || kinds[0] != kind {
			continue
		}
		if kind == "cgroup" && !slices.Contains(strings.Split(kinds[2], ","), "memory") {
			continue
		}
		root := strings.TrimSuffix(octal.Replace(fields[3]), "/")
		if rest, ok := strings.CutPrefix(group+"/", root+"/"); ok {
			return octal.Replace(fields[4]), path.Clean("/" + rest)
		}
		at = octal.Replace(fields[4])
	}
	return at, "/"
}

// octal undoes how mountinfo writes the characters that separate its fields.
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
