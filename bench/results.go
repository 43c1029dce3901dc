package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// longestResults is how many bytes of results are read: tens of thousands of rows.
const longestResults = 64 << 20

// Read reads rows that Write wrote as csv, json or jsonl, or that llama-bench did; name is for errors. The format is
// told by the content. Columns that Row has not are left out, and rows that name no engine are llama.cpp's, whose
// llama-bench does not. What is no result is an error: a number that is negative, infinite or none, a row without test
// or speed, a header without the columns of these.
func Read(r io.Reader, name string) ([]Row, error) {
	data, err := textfile.ReadAll(name, r, longestResults)
	if err != nil {
		return nil, err
	}
	return parse(data, name, false)
}

// ReadFile reads a file of them.
func ReadFile(name string) ([]Row, error) {
	data, err := textfile.Read(name, longestResults)
	if err != nil {
		return nil, err
	}
	return parse(data, name, false)
}

// parse reads the text of a file. onlyOurs refuses what a CSV file of ours would lose: another format, further columns.
func parse(data []byte, name string, onlyOurs bool) ([]Row, error) {
	text := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(text) == 0:
		return nil, fmt.Errorf("%s: empty; results as csv, json or jsonl are needed", name)
	case text[0] != '[' && text[0] != '{':
		return parseCSV(data, name, onlyOurs)
	case onlyOurs:
		return nil, fmt.Errorf("%s: JSON; rows are added to CSV files only, name another one", name)
	}
	return parseJSON(data, name)
}

func parseCSV(data []byte, name string, onlyOurs bool) ([]Row, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	header, err := r.Read()
	if err != nil {
		return nil, csvError(name, err)
	}
	line, _ := r.FieldPos(0)
	at := func(err error) error { return fmt.Errorf("%s: line %d: %w", name, line, err) }
	for _, needed := range []string{"n_prompt", "n_gen", "avg_ts"} {
		if !slices.Contains(header, needed) {
			return nil, at(fmt.Errorf("no column %s; results as csv (with the line of names), json or jsonl are needed", needed))
		}
	}
	places := make([]*column, len(header))
	for i, name := range header {
		c := slices.IndexFunc(columns, func(c column) bool { return c.name == name })
		switch {
		case c < 0 && onlyOurs:
			return nil, at(fmt.Errorf("column %.40q is unknown and would be lost; name another file", name))
		case c < 0:
			continue
		case slices.Contains(header[:i], name):
			return nil, at(fmt.Errorf("two columns %s; take one out", name))
		}
		places[i] = &columns[c]
	}
	var blank Row
	if !slices.Contains(header, "engine") {
		blank.Engine = "llama.cpp"
	}
	var rows []Row
	for {
		values, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, csvError(name, err)
		}
		line, _ = r.FieldPos(0)
		if len(values) != len(header) {
			return nil, at(fmt.Errorf("%d values for %d columns; the line is cut, or a comma lacks its quotes", len(values),
				len(header)))
		}
		row := blank
		for i, c := range places {
			if c == nil {
				continue
			}
			if err := c.set(&row, values[i]); err != nil {
				return nil, at(err)
			}
		}
		if err := row.settle(); err != nil {
			return nil, at(err)
		}
		rows = append(rows, row)
	}
}

func csvError(name string, err error) error {
	if at, ok := errors.AsType[*csv.ParseError](err); ok {
		cause := "a quote inside a value without quotes"
		if errors.Is(at, csv.ErrQuote) {
			cause = "a quoted value does not end, or goes on behind its quote"
		}
		return fmt.Errorf("%s: line %d: %s; write quotes in a value twice, and quotes around it", name, at.StartLine, cause)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// parseJSON takes an array of rows, or rows behind each other.
func parseJSON(data []byte, name string) ([]Row, error) {
	data = bytes.TrimRight(data, " \t\r\n")
	at := func(offset int64, err error) error {
		return fmt.Errorf("%s: line %d: %w", name, 1+bytes.Count(data[:offset], []byte("\n")), err)
	}
	broken := func(err error) error {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return at(syntax.Offset, fmt.Errorf("broken JSON: %w", err))
		}
		return at(int64(len(data)), errors.New("broken JSON: the text ends within it"))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	array := bytes.TrimLeft(data, " \t\r\n")[0] == '['
	if array {
		_, _ = d.Token()
	}
	var rows []Row
	for d.More() {
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, broken(err)
		}
		row := Row{Engine: "llama.cpp"}
		start := d.InputOffset() - int64(len(value))
		err := json.Unmarshal(value, &row)
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); !ok && err != nil { // of the one type with its own
			err = fmt.Errorf("test_time: %w; a time such as 2025-04-14T09:05:07Z is needed", err)
		} else if ok {
			start += wrong.Offset
			err = fmt.Errorf("a JSON %.40s in the place of a row", wrong.Value)
			if wrong.Field != "" {
				field := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:]
				err = fmt.Errorf("%s is a JSON %.40s; a value of type %s is needed", field, wrong.Value, wrong.Type)
			}
		}
		if err == nil {
			err = row.settle()
		}
		if err != nil {
			return nil, at(start, err)
		}
		rows = append(rows, row)
	}
	if array {
		if _, err := d.Token(); err != nil {
			return nil, broken(err)
		}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, at(d.InputOffset(), errors.New("text behind the rows; take it out"))
	}
	return rows, nil
}

// settle brings a row that was read to the form in which it is read again, and checks it.
func (row *Row) settle() error {
	for _, c := range columns {
		if s, ok := c.of(row).Addr().Interface().(*string); ok {
			*s = storable(*s)
		}
	}
	row.TestTime = row.TestTime.UTC()
	if len(row.SamplesNS) == 0 {
		row.SamplesNS = nil
	}
	if len(row.SamplesTS) == 0 {
		row.SamplesTS = nil
	}
	return row.check()
}
