package metal_test

import (
	"fmt"
	"log"

	"github.com/glm4-metal/glm4-metal/metal"
)

// Adds two vectors of a million floats. openMetal is metal.Open on a Mac.
func Example() {
	m, err := openMetal()
	if err != nil {
		log.Fatal(err)
	}
	device, err := m.DefaultDevice()
	if err != nil {
		log.Fatal(err)
	}
	defer device.Release()

	library, err := device.NewLibrary(`
		kernel void add(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]],
		                device float *sum [[buffer(2)]], uint i [[thread_position_in_grid]]) {
			sum[i] = a[i] + b[i];
		}`, metal.CompileOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer library.Release()
	function, err := library.NewFunction("add", metal.FunctionConstants{})
	if err != nil {
		log.Fatal(err)
	}
	defer function.Release()
	pipeline, err := device.NewComputePipeline(function)
	if err != nil {
		log.Fatal(err)
	}
	defer pipeline.Release()

	const n = 1_000_000
	var buffers [3]metal.Buffer
	var vectors [3][]float32 // the buffers' memory
	for i := range buffers {
		if buffers[i], err = device.NewBuffer(4*n, metal.StorageShared); err != nil {
			log.Fatal(err)
		}
		defer buffers[i].Release()
		vectors[i] = metal.Slice[float32](buffers[i].Contents())
	}
	a, b, sum := vectors[0], vectors[1], vectors[2]
	for i := range n {
		a[i], b[i] = float32(i), float32(2*i)
	}

	queue, err := device.NewQueue()
	if err != nil {
		log.Fatal(err)
	}
	defer queue.Release()
	err = m.Do(func() error {
		commands, err := queue.NewCommandBuffer()
		if err != nil {
			return err
		}
		defer commands.Release()
		encoder, err := commands.ComputeEncoder(metal.Serial)
		if err != nil {
			return err
		}
		encoder.SetPipeline(pipeline)
		for i, buffer := range buffers {
			encoder.SetBuffer(buffer, 0, i)
		}
		encoder.DispatchThreads(metal.Size{Width: n, Height: 1, Depth: 1}, metal.Size{Width: 256, Height: 1, Depth: 1})
		encoder.End()
		commands.Commit()
		return commands.Wait()
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.0f, %.0f, ..., %.0f\n", sum[0], sum[1], sum[n-1])
	// Output: 0, 3, ..., 2999997
}

// Names every GPU of the machine.
func ExampleMetal_Devices() {
	m, err := openMetal()
	if err != nil {
		log.Fatal(err)
	}
	for _, device := range m.Devices() {
		fmt.Printf("%s: %d GB for buffers\n", device.Name(), device.RecommendedMaxWorkingSetSize()>>30)
		device.Release()
	}
}
