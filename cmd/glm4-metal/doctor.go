package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/backend/cpu/simd"
	"github.com/glm4-metal/glm4-metal/internal/doctor"
	"github.com/glm4-metal/glm4-metal/model"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "examine this machine: what works, and how fast",
		UsageText: program + " doctor [options]",
		Description: `Makes every kernel of the GPU, computes with random weights on each device, some rows of matrices as
wide as GLM-4-9B's, and compares, measures what the device gives that would be taken, and projects GLM-4-9B from
that: in seconds, without a model. Where nothing failed, the tiles that were the fastest on the GPU go to a file in
the user's cache folder, and models take them from then on. The report goes into an issue as it is; --json has more
of it. The exit status is 1 where a check failed.

Examples:
  glm4-metal doctor
  glm4-metal doctor --backend cpu
  glm4-metal doctor --json | jq .failed`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "backend", Value: "auto", Usage: "examine this device, or all: `auto|metal|cpu`"},
			jsonFlag(),
		},
		Action: runDoctor,
	}
}

// examine examines; tests have a fake of it.
var examine = doctor.Examine

// diagnosis is what doctor prints as JSON.
type diagnosis struct {
	Build build `json:"build"`
	*doctor.Report
	Failed int      `json:"failed"` // checks
	Advice []string `json:"advice"`
}

func runDoctor(c *cli.Context) error {
	if err := noArgument(c); err != nil {
		return err
	}
	asked := c.String("backend")
	if err := flagError(c, model.CheckLoad(model.Backend(asked))); err != nil {
		return err
	}
	d, err := diagnose(c.Context, asked)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(d)
	} else {
		err = printText(d.text(asked))
	}
	if err == nil && d.Failed > 0 {
		var names []string
		for _, f := range d.Failures() {
			names = append(names, f.Name)
		}
		err = fmt.Errorf("%d of %d checks failed: %s", d.Failed, len(d.Checks), strings.Join(names, ", "))
	}
	return err
}

func diagnose(ctx context.Context, asked string) (*diagnosis, error) {
	bar := startProgress("examining", func(int64, int64, time.Duration) string { return "" })
	defer bar.stop()
	r, err := examine(ctx, asked, func(what string) { bar.describe("examining " + what) })
	if err != nil {
		return nil, err
	}
	r.Checks = slices.Insert(r.Checks, 0, buildCheck())
	for i := range r.Checks {
		r.Checks[i].Text = withoutHome(r.Checks[i].Text)
	}
	for i := range r.Kernels {
		r.Kernels[i].Error = withoutHome(r.Kernels[i].Error)
	}
	r.Why, r.Tuning = withoutHome(r.Why), withoutHome(r.Tuning)
	d := &diagnosis{Build: readBuild(), Report: r, Failed: len(r.Failures()), Advice: []string{}}
	if r.Failed("cpu") {
		d.Advice = append(d.Advice, "the CPU fails: set "+simd.Variable+"=plain in the environment and run doctor again, "+
			"and send both reports to the project's issues")
	}
	if r.Failed("metal") {
		d.Advice = append(d.Advice, "Metal fails: use --backend cpu, and send this report to the project's issues")
	}
	return d, nil
}

func buildCheck() doctor.Check {
	b := readBuild()
	return doctor.Check{State: doctor.OK, Name: "build", Text: fmt.Sprintf("%s %s, %s, %s/%s", program, version(), b.Go,
		b.OS, b.Arch)}
}

// withoutHome leaves out who the user is.
func withoutHome(text string) string {
	if home, err := os.UserHomeDir(); err == nil && len(home) > 1 {
		text = strings.ReplaceAll(text, home, "~")
	}
	return text
}

// The report is written for a terminal of reportWidth columns; texts begin in column reportColumn. An error of many
// lines, such as a compiler's, is cut off there; JSON has all of it.
const (
	reportWidth  = 80
	reportColumn = 24
	reportLines  = 6 // of a text
)

func (d *diagnosis) text(asked string) string {
	var b strings.Builder
	line := func(state doctor.State, name, text string) {
		lines := wrap(visible(text), reportWidth-reportColumn)
		if len(lines) > reportLines {
			lines = append(lines[:reportLines], "…")
		}
		for i, part := range lines {
			if runes := []rune(part); len(runes) > reportWidth-reportColumn { // a word without end
				part = string(runes[:reportWidth-reportColumn-1]) + "…"
			}
			if i == 0 {
				fmt.Fprintf(&b, "%-7s%-*s%s\n", state, reportColumn-7, name, part)
			} else {
				fmt.Fprintf(&b, "%*s%s\n", reportColumn, "", part)
			}
		}
	}
	for i, c := range d.Checks {
		if i > 0 && c.State == doctor.Failed && c.Text == d.Checks[i-1].Text {
			c.Text = "as above"
		}
		line(c.State, c.Name, c.Text)
	}
	switch {
	case d.Backend == "":
		line(doctor.Failed, "verdict", "--backend "+asked+" cannot be used")
	case d.Report.Failed(d.Backend):
		line(doctor.Failed, "verdict", fmt.Sprintf("--backend %s takes %s (%s), which fails", asked, d.Backend, d.Why))
	default:
		line(doctor.OK, "verdict", fmt.Sprintf("--backend %s takes %s: %s", asked, d.Backend, d.Why))
	}
	for _, a := range d.Advice {
		line(doctor.Note, "advice", a)
	}
	return b.String()
}
