package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Formats are what Write writes: md, csv, json, jsonl and sql, as llama-bench's -o.
var Formats = []string{"md", "csv", "json", "jsonl", "sql"}

// Write writes rows in one of the Formats:
//
//   - md is for people: what was measured on what, the table of llama-bench with further columns, and warnings, in
//     Markdown that reads well in a terminal.
//   - csv has a line of names, and all fields but the samples.
//   - json is an array of everything, jsonl an object a line.
//   - sql makes the table glm4_bench where there is none and inserts the rows without samples; SQLite takes it.
//
// All but md refuse rows that Read would refuse, such as one with a speed of 0. Carriage returns, NUL and what is no
// UTF-8 are replaced.
func Write(w io.Writer, format string, rows []Row) error {
	if !slices.Contains(Formats, format) {
		return fmt.Errorf("format %.40q; it must be one of %s", format, strings.Join(Formats, ", "))
	}
	if format != "md" {
		if err := checkAll(rows); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	var err error
	switch format {
	case "md":
		markdown(&out, rows)
	case "csv":
		writeCSV(&out, rows)
	case "json":
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err = e.Encode(append([]Row{}, rows...)) // [] for nil, too
	case "jsonl":
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		for i := 0; i < len(rows) && err == nil; i++ {
			err = e.Encode(rows[i])
		}
	case "sql":
		writeSQL(&out, rows)
	}
	if err == nil {
		_, err = w.Write(out.Bytes())
	}
	return err
}

func checkAll(rows []Row) error {
	for i := range rows {
		if err := rows[i].check(); err != nil {
			return fmt.Errorf("row %d (%s): %w", i+1, rows[i].Test, err)
		}
	}
	return nil
}

func writeCSV(out *bytes.Buffer, rows []Row) {
	w := csv.NewWriter(out)
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = c.name
	}
	_ = w.Write(line) // a buffer takes everything
	for r := range rows {
		for i, c := range columns {
			line[i] = c.text(&rows[r])
		}
		_ = w.Write(line)
	}
	w.Flush()
}

func writeSQL(out *bytes.Buffer, rows []Row) {
	var names, definitions []string
	for _, c := range columns {
		kind := "TEXT"
		switch v := c.of(&Row{}); {
		case v.CanInt():
			kind = "INTEGER"
		case v.CanFloat():
			kind = "REAL"
		}
		names = append(names, `"`+c.name+`"`) // "limit" is a word of SQL
		definitions = append(definitions, fmt.Sprintf("  %q %s", c.name, kind))
	}
	fmt.Fprintf(out, "CREATE TABLE IF NOT EXISTS glm4_bench (\n%s\n);\n\n", strings.Join(definitions, ",\n"))
	for r := range rows {
		var values []string
		for _, c := range columns {
			text := c.text(&rows[r])
			if v := c.of(&rows[r]); !v.CanInt() && !v.CanFloat() {
				text = "'" + strings.ReplaceAll(text, "'", "''") + "'"
			} else if text == "" {
				text = "NULL"
			}
			values = append(values, text)
		}
		fmt.Fprintf(out, "INSERT INTO glm4_bench (%s) VALUES (%s);\n", strings.Join(names, ", "), strings.Join(values, ", "))
	}
}
