package machine

import (
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cgroup is a control group that the process is in.
type cgroup struct {
	name string // below its mount
	dir  string // below the root of the file system
	v2   bool   // of the unified hierarchy
}

// read gives the text of a file of the group, "" where there is none.
func (g cgroup) read(root fs.FS, file string) string {
	text, _ := fs.ReadFile(root, path.Join(g.dir, file))
	return strings.TrimSpace(string(text))
}

// cgroups gives the groups that the process is in, as far as a controller ("memory" or "cpu") may hold it there: each
// group and then those above it, as far as they can be seen from its mount.
// Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/ and
// proc(5).
func cgroups(root fs.FS, controller string) iter.Seq[cgroup] {
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	mounts, _ := fs.ReadFile(root, "proc/self/mountinfo")
	return func(yield func(cgroup) bool) {
		for line := range strings.Lines(string(groups)) {
			parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
			if len(parts) != 3 {
				continue
			}
			v2 := parts[0] == "0" && parts[1] == ""
			if !v2 && !slices.Contains(strings.Split(parts[1], ","), controller) {
				continue
			}
			at, below := cgroupMount(string(mounts), v2, controller, path.Clean("/"+parts[2]))
			if at == "" {
				continue
			}
			for group := below; ; group = path.Dir(group) {
				if !yield(cgroup{group, strings.TrimPrefix(path.Join(at, group), "/"), v2}) {
					return
				}
				if group == "/" {
					break
				}
			}
		}
	}
}

// cgroupMemory gives the smallest memory limit of the groups, and what an error calls it; 0 where there is none.
func cgroupMemory(root fs.FS) (limit int64, name string) {
	for g := range cgroups(root, "memory") {
		file := "memory.limit_in_bytes"
		if g.v2 {
			file = "memory.max"
		}
		// "max", and in version 1 a number near 2^63, mean no limit.
		n, err := strconv.ParseInt(g.read(root, file), 10, 64)
		if err == nil && n < 1<<62 && (name == "" || n < limit) {
			limit, name = n, "the cgroup "+g.name+" ("+file+")"
		}
	}
	return limit, name
}

// cgroupCores gives how many cores the smallest quota of the groups is worth, rounded up; 0 where there is none.
func cgroupCores(root fs.FS) (cores int) {
	for g := range cgroups(root, "cpu") {
		text := g.read(root, "cpu.max")
		if !g.v2 {
			text = g.read(root, "cpu.cfs_quota_us") + " " + g.read(root, "cpu.cfs_period_us")
		}
		// "max", and -1 in version 1, mean no quota.
		var quota, period int
		if n, _ := fmt.Sscan(text, &quota, &period); n < 2 || quota <= 0 || period <= 0 {
			continue
		}
		if n := (quota-1)/period + 1; cores == 0 || n < cores {
			cores = n
		}
	}
	return cores
}

// held is of the group that its quota has stopped for longest.
func held(root fs.FS) (longest time.Duration) {
	for g := range cgroups(root, "cpu") {
		for line := range strings.Lines(g.read(root, "cpu.stat")) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, err := strconv.ParseInt(value, 10, 64)
			switch {
			case err != nil:
			case name == "throttled_usec":
				longest = max(longest, time.Duration(n)*time.Microsecond)
			case name == "throttled_time": // in version 1
				longest = max(longest, time.Duration(n))
			}
		}
	}
	return longest
}

// cgroupMount finds where a hierarchy is mounted and the place of a group below that, "/" if the group itself cannot be
// seen there, as in a container.
func cgroupMount(mountinfo string, v2 bool, controller, group string) (at, below string) {
	kind := "cgroup"
	if v2 {
		kind = "cgroup2"
	}
	for line := range strings.Lines(mountinfo) {
		mount, system, found := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(mount), strings.Fields(system)
		if !found || len(fields) < 5 || len(kinds) < 3 || kinds[0] != kind {
			continue
		}
		if !v2 && !slices.Contains(strings.Split(kinds[2], ","), controller) {
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
