package cpu

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// cpuName is the processor's name as the system gives it.
func cpuName() string {
	if name := fromProc("/proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOARCH
}

// physicalMemory is the machine's memory in bytes, 0 when unknown.
func physicalMemory() int64 {
	kb, err := strconv.ParseInt(strings.TrimSuffix(fromProc("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// fromProc gives the text behind the colon of the first line of a /proc file that starts with key.
func fromProc(file, key string) string {
	text, err := os.ReadFile(file)
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
