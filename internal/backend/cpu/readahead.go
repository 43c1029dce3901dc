package cpu

import (
	"sync"
	"sync/atomic"
)

// readahead brings mapped files into memory in the background, from front to back, so that the first tokens do not wait
// for the disk at a page here and a page there. Where the files exceed the memory it stays away: a page that is brought
// in would push out another one.
type readahead struct {
	stop atomic.Bool
	wait sync.WaitGroup
}

// readaheadPiece is what is asked for at a time, so that a Close need not wait for long.
const readaheadPiece = 16 << 20

func (r *readahead) start(regions [][]byte, memory int64) {
	var total int64
	for _, region := range regions {
		total += int64(len(region))
	}
	if memory > 0 && total > memory {
		return
	}
	r.wait.Go(func() {
		for _, region := range regions {
			adviseHugePages(region)
			for at := 0; at < len(region) && !r.stop.Load(); at += readaheadPiece {
				bringIn(region[at:min(at+readaheadPiece, len(region))])
			}
		}
	})
}

// end returns when the regions are no longer touched.
func (r *readahead) end() {
	r.stop.Store(true)
	r.wait.Wait()
}
