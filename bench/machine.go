package bench

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

	"github.com/glm4-metal/glm4-metal/internal/backend/gpu"
	"github.com/glm4-metal/glm4-metal/internal/machine"
)

// ReadMachine tells what this machine is, within two seconds. What the system does not tell stays empty.
func ReadMachine(ctx context.Context) Machine { return thisHost().machine(ctx) }

// host is where a machine is read and watched: here, or as a test describes it.
type host struct {
	macOS bool
	root  fs.FS                                                                 // of the file system
	run   func(ctx context.Context, program string, arguments ...string) string // what it prints, "" where it fails
	gpu   func() string                                                         // the name of the GPU
	now   func() time.Time
	own   func() time.Duration      // processor time that this process has had
	ticks func(fs.FS) (ticks, bool) // of all processes
}

func thisHost() host {
	return host{macOS: runtime.GOOS == "darwin", root: os.DirFS("/"), run: output, gpu: gpuName, now: time.Now,
		own: ownTime, ticks: systemTicks}
}

func (h host) machine(ctx context.Context) Machine {
	m := Machine{CPUInfo: machine.Processor(h.root), GPUInfo: h.gpu(), Cores: machine.Cores(h.root)}
	m.Memory, _ = machine.Memory(h.root)
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

// gpuName is what Metal calls its default device, "" without one.
func gpuName() string {
	m, err := gpu.System()
	if err != nil {
		return ""
	}
	d, err := m.DefaultDevice()
	if err != nil {
		return ""
	}
	defer d.Release()
	return d.Name()
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
