// Package machine tells what the system says of the machine and of the process's share in it: the processor, the
// logical cores, the memory, the limits of control groups and of the process ([Describe] has all that a report wants),
// and what other processes, heat and saving of power take from it meanwhile ([StartWatch]).
//
// The other functions take the root of the file system, os.DirFS("/"), and read /proc and the control groups there, if
// the system has them.
package machine

import (
	"io/fs"
	"time"
)

// Processor is the processor's name as the system gives it, or Go's name of its architecture.
func Processor(root fs.FS) string { return processor(root) }

// Cores is how many logical cores the process may use: those of its affinity, or as many as the quotas of its cgroups
// are worth, rounded up.
func Cores(root fs.FS) int { return cores(root) }

// Memory is the machine's memory in bytes, 0 when unknown; or the limit of a cgroup that is smaller, with its name.
func Memory(root fs.FS) (bytes int64, limit string) { return memory(root) }

// Room is what the process may still allocate under its limits, which the shell's ulimit sets, and the name of the
// nearest; 0 where there is none.
func Room(root fs.FS) (bytes int64, limit string) { return room(root) }

// Held is how long the quotas of cgroups have stopped the process, or others of its groups, until now.
func Held(root fs.FS) time.Duration { return held(root) }
