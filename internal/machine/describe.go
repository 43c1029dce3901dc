package machine

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Description is what a machine is. What the system does not tell stays empty.
type Description struct {
	System  string // with its version and architecture: "Linux 6.18.0 amd64", "macOS 26.1 arm64"
	CPUInfo string // the chip
	GPUInfo string // the GPU, on a Mac with its cores
	Cores   int    // logical ones that the process may use
	Memory  int64  // bytes, as [Memory] has it
	Power   string // mode and source: "performance, mains", "low power mode, battery"
	Thermal string // state: "nominal", "heavy", "3 throttling events"
}

// Describe describes this machine, within two seconds. gpu is what Metal calls its device, "" without one.
func Describe(ctx context.Context, gpu string) Description { return thisHost().describe(ctx, gpu) }

// host is where a machine is read and watched: here, or as a test describes it.
type host struct {
	macOS bool
	root  fs.FS                                                                 // of the file system
	run   func(ctx context.Context, program string, arguments ...string) string // what it prints, "" where it fails
	now   func() time.Time
	own   func() time.Duration      // processor time that this process has had
	ticks func(fs.FS) (ticks, bool) // of all processes
}

func thisHost() host {
	return host{macOS: runtime.GOOS == "darwin", root: os.DirFS("/"), run: output, now: time.Now,
		own: ownTime, ticks: systemTicks}
}

func (h host) describe(ctx context.Context, gpu string) Description {
	m := Description{CPUInfo: Processor(h.root), GPUInfo: gpu, Cores: Cores(h.root)}
	m.Memory, _ = Memory(h.root)
	if h.macOS {
		h.describeMac(ctx, &m)
		return m
	}
	m.System = strings.Join(strings.Fields(kernel()+" "+runtime.GOARCH), " ")
	m.Power, m.Thermal = sysfsPower(h.root), sysfsThermal(h.root)
	return m
}

// kernel is the name of the system's kernel and its release.
func kernel() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return runtime.GOOS
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// Programs get this long, and then as long again to let go of their output.
const patience = time.Second

// ask runs programs at once and gives what each printed.
func (h host) ask(ctx context.Context, commands ...[]string) []string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	printed := make([]string, len(commands))
	var wg sync.WaitGroup
	for i, c := range commands {
		wg.Go(func() { printed[i] = h.run(ctx, c[0], c[1:]...) })
	}
	wg.Wait()
	return printed
}

func output(ctx context.Context, program string, arguments ...string) string {
	command := exec.CommandContext(ctx, program, arguments...)
	command.WaitDelay = patience
	printed, err := command.Output()
	if err != nil {
		return ""
	}
	return string(printed)
}

// joined puts a comma between the parts that are there.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
