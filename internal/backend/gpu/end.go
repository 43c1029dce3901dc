package gpu

import (
	"errors"
	"sync"
	"time"

	"github.com/glm4-metal/glm4-metal/metal"
)

// A process that ends while the GPU works for it can take the whole system with it: "completeMemory() prepare count
// underflow" (ml-explore/mlx#3186, #3346).

var errEnding = errors.New("metal: the program ends")

// living are the devices that are not closed.
var living = struct {
	sync.Mutex
	devices map[*Device]struct{}
}{devices: map[*Device]struct{}{}}

// End is for the last moment of a program: from now on no device starts anything. It waits for what runs, at most for
// some time, and tells whether that has ended.
func End(most time.Duration) bool {
	var all []<-chan struct{}
	living.Lock()
	for d := range living.devices {
		all = append(all, d.gate.shut(d.runLast))
	}
	living.Unlock()
	late := time.After(most)
	for _, idle := range all {
		select {
		case <-idle:
		case <-late:
			return false
		}
	}
	return true
}

// live takes note of a device, or of its end.
func (d *Device) live(lives bool) {
	living.Lock()
	defer living.Unlock()
	if lives {
		living.devices[d] = struct{}{}
	} else {
		delete(living.devices, d)
	}
}

// gate is what command buffers pass on their way to the queue.
type gate struct {
	mu   sync.RWMutex
	idle chan struct{} // nil while the gate is open; closed when all that has passed it has run
}

// commit starts a command buffer.
func (g *gate) commit(c metal.CommandBuffer) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.idle != nil {
		return errEnding
	}
	c.Commit()
	return nil
}

// shut closes the gate, and has wait called, once, behind all that has passed it.
func (g *gate) shut(wait func()) (idle <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle == nil {
		c := make(chan struct{})
		g.idle = c
		go func() {
			wait()
			close(c)
		}()
	}
	return g.idle
}
