package cpu

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// count is a job that counts how often each task is done.
type count []int32

func (c count) do(_ *worker, task int) { c[task]++ }

func TestPoolLosesATask(t *testing.T) {
	p := newPool(4)
	defer p.close()
	for i := range 3000 {
		c := make(count, 1+i%9)
		if i%500 == 0 {
			time.Sleep(time.Millisecond) // the helpers fall asleep
		}
		p.run(len(c), c, new(atomic.Bool), nil)
		for task, n := range c {
			require.EqualValues(t, 1, n, "task %d of %d", task, len(c))
		}
	}
}

// stopAt is a job that is told to stop by one of its tasks.
type stopAt struct {
	stop *atomic.Bool
	task int
	done atomic.Int32
}

func (j *stopAt) do(_ *worker, task int) {
	j.done.Add(1)
	if task == j.task {
		j.stop.Store(true)
	}
	for !j.stop.Load() { // no helper is ahead of the task that stops
	}
}

func TestStoppedJobRunsOn(t *testing.T) {
	p := newPool(4)
	defer p.close()
	for range 100 {
		j := &stopAt{stop: new(atomic.Bool)}
		p.run(1000, j, j.stop, nil)
		require.LessOrEqual(t, int(j.done.Load()), len(p.workers))
	}
}
