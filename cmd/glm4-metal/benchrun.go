package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/bench"
	"github.com/glm4-metal/glm4-metal/model"
)

// benchModels measures one model after another and prints the rows of all. Where it is interrupted it prints those that
// there are.
func benchModels(c *cli.Context) error {
	m, err := readMeasurement(c)
	if err != nil {
		return err
	}
	var rows, whole []bench.Row // whole are of models that did not fail
	var failed error
	failures := 0
	for i := range m.models {
		measured, err := m.measure(c.Context, i)
		rows = append(rows, measured...)
		if c.Context.Err() != nil {
			break
		}
		if err == nil {
			whole = append(whole, measured...)
			continue
		}
		failures++
		if failed = explainTests(err); len(m.models) > 1 {
			say("%s: %s: %s", program, m.models[i], oneLine(explain(failed)))
			failed = fmt.Errorf("%d of %d models failed", failures, len(m.models))
		}
	}
	if err := m.print(rows); err != nil {
		return err
	}
	if c.Context.Err() != nil {
		done := 0
		for _, row := range rows {
			done += row.Repetitions
		}
		say("%s: interrupted after %d of %d repetitions%s", program, done,
			len(m.models)*len(m.options.Tests)*m.options.Repetitions,
			map[bool]string{true: "; nothing is recorded"}[m.record != ""])
		return errInterrupted
	}
	if len(whole) == 0 {
		return failed
	}
	if m.record != "" {
		if err := bench.Record(m.record, whole); err != nil {
			return errors.Join(failed, err)
		}
		say("%d rows are added to %s", len(whole), m.record)
	}
	if m.against != "" {
		failed = errors.Join(failed, m.compare(whole))
	}
	return failed
}

// measure measures the model of this index and shows on standard error how far it is.
func (m *measurement) measure(ctx context.Context, index int) ([]bench.Row, error) {
	p := newBenchProgress(m.models, index, m.options.Repetitions)
	defer p.stop()
	o := m.options
	o.OnProgress = p.tell
	o.Load = append(slices.Clone(o.Load), model.OnLoad(p.loading.set))
	return benchRun(ctx, m.models[index], o)
}

// print writes rows to standard output, and to standard error what speaks against them where the format has no text.
func (m *measurement) print(rows []bench.Row) error {
	if len(rows) == 0 {
		return nil
	}
	var out bytes.Buffer
	if err := bench.Write(&out, m.format, rows); err != nil {
		return err
	}
	if err := printText(out.String()); err != nil {
		return err
	}
	if m.format == "md" {
		return nil
	}
	for _, row := range rows {
		if row.Warning != "" {
			say("%s: %s of %s: %s", program, row.Test, row.ModelType, row.Warning)
		}
	}
	return nil
}

// explainTests names the flags that make the context, which is no flag of this verb.
func explainTests(err error) error {
	text := strings.Replace(err.Error(), "a smaller context", "shorter tests (-p, -n, -d)", 1)
	if text == err.Error() {
		return err
	}
	return explained{text, err}
}
