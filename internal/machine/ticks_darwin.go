package machine

import (
	"io/fs"
	"sync"

	"github.com/ebitengine/purego"
)

// systemTicks asks the kernel. Source: mach/host_info.h and mach/machine.h of the SDK.
func systemTicks(fs.FS) (t ticks, ok bool) {
	m := mach()
	if m.statistics == nil {
		return t, false
	}
	const loadInfo = 3     // HOST_CPU_LOAD_INFO
	var load [4]uint32     // user, system, idle, nice
	n := uint32(len(load)) // words that there is room for
	if m.statistics(m.host, loadInfo, &load, &n) != 0 {
		return t, false
	}
	return ticks{busy: load[0] + load[1] + load[3], idle: load[2]}, true
}

type machHost struct {
	host       uint32
	statistics func(host uint32, flavour int32, info *[4]uint32, words *uint32) int32
}

// mach is opened once: each mach_host_self takes a reference to the host.
var mach = sync.OnceValue(func() (m machHost) {
	library, err := purego.Dlopen("/usr/lib/libSystem.B.dylib", purego.RTLD_LAZY|purego.RTLD_GLOBAL)
	if err != nil {
		return m
	}
	self, err := purego.Dlsym(library, "mach_host_self")
	if err != nil {
		return m
	}
	statistics, err := purego.Dlsym(library, "host_statistics")
	if err != nil {
		return m
	}
	var hostSelf func() uint32
	purego.RegisterFunc(&hostSelf, self)
	purego.RegisterFunc(&m.statistics, statistics)
	m.host = hostSelf()
	return m
})
