package loader_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/glm4-metal/glm4-metal/loader"
)

func Example() {
	c, err := loader.Open(context.Background(), "../internal/demo/checkpoint") // a GLM-4's folder
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Config.ModelType, c.Config.Layers, "layers of width", c.Config.Hidden)

	for _, t := range c.Tensors()[:3] { // as they stand in the files
		fmt.Println(t.Name, t.DType, t.Shape)
	}

	norm, err := c.Vector("model.norm.weight") // a copy, as float32
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("norm of", len(norm))

	q, err := c.Matrix("model.layers.0.self_attn.q_proj") // packed, in the mapped file
	if err != nil {
		log.Fatal(err)
	}
	row := make([]float32, q.Cols)
	if err := c.Guard(func() error { q.Dequantize(row, 0); return nil }); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d×%d in %d bits, first value %.4f\n", q.Name, q.Rows, q.Cols, q.Bits, row[0])
	// Output:
	// glm4 3 layers of width 256
	// lm_head.biases BF16 [4160 4]
	// lm_head.scales BF16 [4160 4]
	// lm_head.weight U32 [4160 32]
	// norm of 256
	// model.layers.0.self_attn.q_proj: 2048×256 in 4 bits, first value 0.0873
}

func ExampleWriter() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	w, err := loader.NewWriter(dir, []loader.TensorInfo{
		{Name: "model.norm.weight", DType: loader.F32, Shape: []int{4}},
		{Name: "lm_head.weight", DType: loader.BF16, Shape: []int{64, 4}},
	}, loader.WriterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	// In pieces of at most 256 bytes, from several goroutines.
	err = w.Fill(context.Background(), 256, func(t loader.TensorInfo, offset int64, p []byte) error {
		for i := range p {
			p[i] = byte(offset) + byte(i)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Files(), w.Bytes(), "bytes of tensors")
	// Output: [model.safetensors] 528 bytes of tensors
}

func ExampleConvert() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// A published checkpoint, packed in 8 bits.
	result, err := loader.Convert(context.Background(), "../model/testdata/chatglm-f", dir, loader.ConvertOptions{
		Bits: 8, DType: loader.BF16, Progress: func(done, total int64) {},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d tensors, %d bits in groups of %d, %s\n", result.Tensors, result.Bits, result.GroupSize, result.DType)
	// Output: 53 tensors, 8 bits in groups of 64, BF16
}
