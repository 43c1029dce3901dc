package cpu

import (
	"fmt"
	"testing"
	"time"

	"github.com/glm4-metal/glm4-metal/internal/backend"
)

// BenchmarkProduct measures the products of GLM-4-9B: the bytes of the weights that one pass reads, and the
// operations, two for each weight and token. Each matrix of a run is read from memory: there are enough of them that
// no cache holds them.
func BenchmarkProduct(b *testing.B) {
	for _, f := range []struct {
		format backend.Format
		group  int
	}{{backend.Q4, 64}, {backend.Q4, 32}, {backend.Q4, 128}, {backend.Q8, 64}, {backend.BF16, 0}, {backend.F16, 0}, {backend.F32, 0}} {
		for _, shape := range [][2]int{{4096, 4096}, {27392, 4096}, {4096, 13696}} {
			for _, n := range []int{1, 2, 3, 8, 512} {
				b.Run(fmt.Sprintf("%v-%d/%dx%d/n=%d", f.format, f.group, shape[0], shape[1], n), func(b *testing.B) {
					d := Open()
					defer d.Close()
					s, _ := d.NewStream()
					data := backend.MatrixData{Name: "test", Rows: shape[0], Cols: shape[1], Format: f.format, GroupSize: f.group, ScaleFormat: backend.BF16}
					data.Data = make([]byte, data.Rows*data.Cols*f.format.Bits()/8)
					for i := range data.Data {
						data.Data[i] = byte(i*7) & 0x3f
					}
					if f.group > 0 {
						data.Scales = make([]byte, data.Rows*data.Cols/f.group*2)
						data.Biases = make([]byte, data.Rows*data.Cols/f.group*2)
					}
					var matrices []backend.Matrix
					for size := int64(0); len(matrices) == 0 || n < 512 && size < 256<<20; size += data.Bytes() {
						copied := data
						copied.Data = append([]byte(nil), data.Data...)
						m, err := d.NewMatrix(copied)
						if err != nil {
							b.Fatal(err)
						}
						matrices = append(matrices, m)
					}
					x, _ := d.NewBuffer(n * data.Cols)
					y, _ := d.NewBuffer(n * data.Rows)
					for i := range x.Floats() {
						x.Floats()[i] = float32(i%13) - 6
					}
					b.ReportAllocs()
					best := time.Hour
					for i := 0; b.Loop(); i++ {
						start := time.Now()
						s.Out(y, x, matrices[i%len(matrices)], n)
						if i > 0 {
							best = min(best, time.Since(start))
						}
					}
					if err := s.Wait(0); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(data.Bytes())/best.Seconds()/1e9, "GB/s-best")
					b.ReportMetric(2*float64(data.Rows)*float64(data.Cols)*float64(n)/best.Seconds()/1e9, "Gop/s-best")
				})
			}
		}
	}
}

// readJob reads memory in pieces of 64 KiB and does next to nothing with it.
type readJob struct {
	k    *kernels
	data []float32
}

func (j *readJob) do(w *worker, task int) { w.eight[0] += j.k.squares(&j.data[task<<14], 1<<14) }

// BenchmarkRead measures how fast the workers read memory, which is as fast as a product with one token can be.
func BenchmarkRead(b *testing.B) {
	for _, k := range paths() {
		d := openPath(k)
		defer d.Close()
		j := &readJob{k, make([]float32, 64<<20)}
		for i := range j.data {
			j.data[i] = 1
		}
		best := time.Hour
		for b.Loop() {
			start := time.Now()
			d.pool.run(len(j.data)>>14, j)
			best = min(best, time.Since(start))
		}
		b.ReportMetric(float64(4*len(j.data))/best.Seconds()/1e9, "GB/s-best")
	}
}
