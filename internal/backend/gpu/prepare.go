package gpu

import (
	"context"
	"runtime"
	"sync"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

var _ backend.Preparer = (*Device)(nil)

// Prepare implements [backend.Preparer]: it makes pipelines, side by side. The ops are those of a stream, so that it
// can miss none.
func (d *Device) Prepare(ctx context.Context, f func(backend.Stream)) (wait func()) {
	needed, err := d.needed(f)
	if err != nil {
		return func() {} // steps tell it
	}
	var wg sync.WaitGroup
	next := make(chan *pipeline, len(needed))
	for _, p := range needed {
		next <- p
	}
	close(next)
	for range min(runtime.GOMAXPROCS(0), len(needed)) {
		wg.Go(func() {
			for p := range next {
				if ctx.Err() != nil {
					return
				}
				d.kernels.ready(p) // an error is that of the step, which tries again
			}
		})
	}
	return wg.Wait
}

// needed is what ops are launched with, in the order of its first use.
func (d *Device) needed(f func(backend.Stream)) (needed []*pipeline, err error) {
	s, err := d.newStream()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.onlyList = true
	f(s)
	s.flushHead()
	seen := map[*pipeline]bool{}
	for i := range s.list {
		if p := s.list[i].pipeline; !seen[p] {
			seen[p] = true
			needed = append(needed, p)
		}
	}
	s.forget()
	return needed, nil
}
