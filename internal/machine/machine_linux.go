package machine

import (
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func processor(root fs.FS) string {
	if name := fromProc(root, "proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOARCH
}

func cores(root fs.FS) int {
	if n := cgroupCores(root); n > 0 {
		return min(n, runtime.NumCPU())
	}
	return runtime.NumCPU()
}

func memory(root fs.FS) (bytes int64, limit string) {
	bytes = procBytes(root, "proc/meminfo", "MemTotal")
	if n, name := cgroupMemory(root); name != "" && (bytes == 0 || n < bytes) {
		return n, name
	}
	return bytes, ""
}

func room(root fs.FS) (bytes int64, limit string) {
	const status = "proc/self/status"
	return nearest(
		processLimit{
			"the address space of the process", "ulimit -v", resourceLimit(unix.RLIMIT_AS), procBytes(root, status, "VmSize")},
		processLimit{
			"the data of the process", "ulimit -d", resourceLimit(unix.RLIMIT_DATA), procBytes(root, status, "VmData")})
}

// resourceLimit is a limit of the process in bytes, 0 where there is none.
func resourceLimit(resource int) int64 {
	var l unix.Rlimit
	if unix.Getrlimit(resource, &l) != nil || l.Cur > 1<<62 {
		return 0
	}
	return int64(l.Cur)
}

// processLimit is a limit of the process, 0 for none, and what is used of it, in bytes.
type processLimit struct {
	what, ulimit string
	limit, used  int64
}

// runtimeRoom is left to Go, which takes memory in pieces of 64 MB, to the tokenizer, and to threads, each of which
// takes 8 MB of stack and from 64 MB on for the C library's heap: without room for another one a process dies.
const runtimeRoom = 320 << 20

// nearest gives the least room under the limits, at least 1 if there is any limit.
func nearest(limits ...processLimit) (room int64, name string) {
	for _, l := range limits {
		if left := max(1, l.limit-l.used-runtimeRoom); l.limit > 0 && (room == 0 || left < room) {
			room, name = left, fmt.Sprintf("%s, limited to %.2f GB (%s),", l.what, float64(l.limit)/1e9, l.ulimit)
		}
	}
	return room, name
}

// procBytes reads a number of kB from a /proc file, 0 when it is not there.
func procBytes(root fs.FS, file, key string) int64 {
	kb, err := strconv.ParseInt(strings.TrimSuffix(fromProc(root, file, key), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// fromProc gives the text behind the colon of the first line of a /proc file that starts with key.
func fromProc(root fs.FS, file, key string) string {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
