package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/urfave/cli/v2"

	"github.com/glm4-metal/glm4-metal/internal/hub"
	"github.com/glm4-metal/glm4-metal/internal/table"
	"github.com/glm4-metal/glm4-metal/model"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:      "list",
		Usage:     "list the checkpoints that are here",
		UsageText: program + " list [options] [FOLDER]...",
		Description: `Lists the GLM checkpoints in the cache of the hub, whoever fetched them, and those that are a FOLDER or
lie in one. A terminal that is narrow shows fewer columns; --json has everything.

Examples:
  glm4-metal list
  glm4-metal list ~/models
  glm4-metal list --known
  glm4-metal list --json | jq '.[].folder'`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "known", Usage: "list the short names, and which of them are here"},
			jsonFlag(),
		},
		Action: list,
	}
}

// listed is what list --json prints.
type listed struct {
	Name       string     `json:"name"` // for --model
	Repository string     `json:"repository,omitempty"`
	Revisions  []string   `json:"revisions,omitempty"` // branches and tags that lead to it
	Commit     string     `json:"commit,omitempty"`
	Folder     string     `json:"folder"`
	Family     string     `json:"model_type,omitempty"`
	Bits       int        `json:"bits,omitempty"`
	Bytes      int64      `json:"bytes"`
	Used       *time.Time `json:"last_used,omitempty"`
	Problem    string     `json:"problem,omitempty"` // why it cannot be used
}

// listedName is what list --known --json prints.
type listedName struct {
	Name       string `json:"name"`
	Repository string `json:"repository"`
	Bytes      int64  `json:"bytes"` // of its tensors
	Here       bool   `json:"here"`
}

func list(c *cli.Context) error {
	if c.Bool("known") {
		return listKnown(c)
	}
	h, err := hub.Open()
	if err != nil {
		return err
	}
	var folders []string
	for _, folder := range c.Args().Slice() {
		folder = expandHome(folder)
		if !isFolder(folder) {
			return fmt.Errorf("%s: there is no such folder", folder)
		}
		folders = append(folders, folder)
	}
	found, err := h.List(folders...)
	if err != nil {
		return err
	}
	all := listings(found)
	switch {
	case c.Bool("json"):
		return printJSON(all)
	case len(all) == 0:
		say("there is no GLM checkpoint in %s; %s pull %s fetches one, %s list --known names others",
			strings.Join(append([]string{h.Settings.Cache}, folders...), ", "), program, firstModel, program)
		return nil
	}
	text := fitTable(all, []table.Column[listed]{
		table.Left("name", func(l listed) string { return l.Name }),
		table.Right("size", func(l listed) string { return gigabytes(l.Bytes) }),
		table.Right("bits", func(l listed) string {
			if l.Bits == 0 {
				return "?"
			}
			return strconv.Itoa(l.Bits)
		}),
		table.Left("family", func(l listed) string { return cmp.Or(l.Family, "?") }),
		table.Left("last used", func(l listed) string {
			if l.Used == nil {
				return ""
			}
			return l.Used.Format(time.DateOnly)
		}),
	})
	for _, l := range all {
		if l.Problem != "" {
			text += fmt.Sprintf("\n%s cannot be used: %s\n", l.Name, l.Problem)
		}
	}
	return printText(text)
}

// listings describes checkpoints.
func listings(found []hub.Checkpoint) []listed {
	commits := map[string]int{} // of a repository
	for _, c := range found {
		commits[c.Repository]++
	}
	all := []listed{}
	for _, c := range found {
		// What an interrupted pull has left, the same pull makes whole.
		isPart := c.Broken != nil && len(c.Revisions) == 0 && commits[c.Repository] == 1
		all = append(all, listing(c, isPart || slices.Contains(c.Revisions, "main")))
	}
	return all
}

// listing describes a checkpoint as it can be named: by its short name, the name of its repository with the revision
// unless that is main, or its folder.
func listing(c hub.Checkpoint, isMain bool) listed {
	l := listed{Name: c.Repository, Repository: c.Repository, Revisions: c.Revisions, Commit: c.Commit, Folder: c.Folder,
		Family: c.Family, Bits: c.Bits, Bytes: c.Size}
	switch {
	case c.Repository == "":
		l.Name = c.Folder
	case isMain:
		for _, k := range hub.Catalog() {
			if k.Repository == c.Repository {
				l.Name = k.Name
			}
		}
	case len(c.Revisions) > 0:
		l.Name += "@" + c.Revisions[0]
	default:
		l.Name += "@" + c.Commit
	}
	if !c.LastUsed.IsZero() {
		l.Used = &c.LastUsed
	}
	if c.Broken != nil {
		l.Problem = oneLine(c.Broken)
		if part := new(hub.IncompleteError); errors.As(c.Broken, &part) && part.Err == nil {
			l.Problem = "it lacks " + strings.Join(part.Missing, ", ")
		}
		if c.Repository != "" {
			l.Problem += fmt.Sprintf("; %s pull %s mends it, %s rm %s removes it", program, l.Name, program, l.Name)
		}
	}
	return l
}

func listKnown(c *cli.Context) error {
	if c.NArg() > 0 {
		return usagef("unexpected argument %q beside %s", c.Args().First(), asTyped(c, "known"))
	}
	var all []listedName
	for _, k := range hub.Catalog() {
		_, err := model.Find(k.Name)
		all = append(all, listedName{k.Name, k.Repository, k.Config.Sizes().Total().Bytes, err == nil})
	}
	if c.Bool("json") {
		return printJSON(all)
	}
	return printText(fitTable(all, []table.Column[listedName]{
		table.Left("name", func(k listedName) string { return k.Name }),
		table.Right("size", func(k listedName) string { return gigabytes(k.Bytes) }),
		table.Left("here", func(k listedName) string { return map[bool]string{true: "yes", false: "no"}[k.Here] }),
		table.Left("on the hub", func(k listedName) string { return k.Repository }),
	}))
}

// fitTable writes a table with as many of the columns, from the left, as the terminal has room for; the first two are
// always there.
func fitTable[T any](things []T, all []table.Column[T]) string {
	for n := len(all); ; n-- {
		var out bytes.Buffer
		table.Write(&out, things, all[:n])
		head, _, _ := strings.Cut(out.String(), "\n")
		if room := columns(os.Stdout); room == 0 || n <= 2 || runewidth.StringWidth(head) <= room {
			return out.String()
		}
	}
}
