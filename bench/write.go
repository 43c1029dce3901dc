package bench

import "io"

// Formats are what Write writes: md, csv, json, jsonl and sql, as llama-bench's -o.
var Formats = []string{"md", "csv", "json", "jsonl", "sql"}

// Write writes rows in one of the Formats.
func Write(w io.Writer, format string, rows []Row) error { panic("not written") }
