package bench

import "io"

// Read reads rows that Write wrote as csv, json or jsonl, or that llama-bench did; name is for errors.
func Read(r io.Reader, name string) ([]Row, error) { panic("not written") }

// ReadFile reads a file of them.
func ReadFile(name string) ([]Row, error) { panic("not written") }

// Record appends rows to a CSV file, which it makes where there is none. The file is whole before and after.
func Record(name string, rows []Row) error { panic("not written") }

// ResultsName is the file in a folder of results that a machine's rows belong into, such as amd-epyc-2-cores.csv.
func ResultsName(m Machine) string { panic("not written") }
