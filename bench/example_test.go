package bench_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/glm4-metal/glm4-metal/bench"
)

// Ctrl-C ends the run; what was measured until then is written.
func ExampleRun() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	rows, err := bench.Run(ctx, "", bench.Options{ // the demo; a folder's name measures a GLM-4
		Tests:      bench.Tests([]int{512}, []int{128}, []int{0, 1024}, nil),
		OnProgress: func(p bench.Progress) { fmt.Fprintf(os.Stderr, "%d of %d: %s\n", p.Step, p.Steps, p.Doing) },
	})
	if err := bench.Write(os.Stdout, "md", rows); err != nil {
		log.Fatal(err)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleTests() {
	for _, t := range bench.Tests([]int{512}, []int{128}, []int{0, 4096}, [][2]int{{1024, 256}}) {
		fmt.Println(t)
	}
	// Output:
	// pp512
	// tg128
	// pp1024+tg256
	// pp512 @ d4096
	// tg128 @ d4096
	// pp1024+tg256 @ d4096
}
