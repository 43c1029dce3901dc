// Record reads rows of measurements, as `glm4-metal bench -o jsonl` prints them, from standard input and appends them
// to the results of their machine.
//
//	go run ./scripts/peers/record [-dir bench/results] < rows.jsonl
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/glm4-metal/glm4-metal/bench"
)

func main() {
	dir := flag.String("dir", "bench/results", "folder of results, a file for each machine")
	flag.Parse()
	name, err := record(os.Stdin, *dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "recorded in", name)
}

// record gives the file that it appended to.
func record(r io.Reader, dir string) (string, error) {
	rows, err := bench.Read(r, "standard input")
	if err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "", errors.New("standard input has no rows")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(dir, bench.ResultsName(rows[0].Machine))
	return name, bench.Record(name, rows)
}
