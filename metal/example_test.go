package metal_test

import (
	"fmt"
	"log"

	"github.com/glm4-metal/glm4-metal/metal"
)

// Squares a million floats and prints their sum. openMetal is metal.Open on a Mac.
func Example_squares() {
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
		kernel void square(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
			x[i] = x[i] * x[i];
		}`, metal.CompileOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer library.Release()
	function, err := library.NewFunction("square", metal.FunctionConstants{})
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
	buffer, err := device.NewBuffer(4*n, metal.StorageShared)
	if err != nil {
		log.Fatal(err)
	}
	defer buffer.Release()
	x := metal.Slice[float32](buffer.Contents())
	for i := range x {
		x[i] = float32(i % 100)
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
		encoder.SetBuffer(buffer, 0, 0)
		encoder.DispatchThreads(metal.Size{Width: n, Height: 1, Depth: 1}, metal.Size{Width: 256, Height: 1, Depth: 1})
		encoder.End()
		commands.Commit()
		return commands.Wait()
	})
	if err != nil {
		log.Fatal(err)
	}

	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	fmt.Printf("sum of squares: %.0f\n", sum)
	// Output: sum of squares: 3283500000
}
