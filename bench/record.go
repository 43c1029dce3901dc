package bench

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/glm4-metal/glm4-metal/internal/textfile"
)

// Record appends rows to a CSV file, which it makes where there is none; samples are left out. The file is whole before
// and after: another one takes its place. What others record at the same time is kept. A file with fewer columns
// gets all of them; one that cannot be read, or has columns that Row has not, is refused and stays.
func Record(name string, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := checkAll(rows); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	unlock, err := lockFolder(name)
	if err != nil {
		return err
	}
	defer unlock()
	data, err := textfile.Read(name, longestResults)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var old []Row
	if len(data) > 0 {
		if old, err = parse(data, name, true); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	writeCSV(&out, append(old, rows...))
	return textfile.Replace(name, out.Bytes(), 0o666)
}

// lockFolder waits until no other process records into the folder of a file. The file itself is replaced, and one more
// beside it would stay. Where the file system has no locks, it does not wait.
func lockFolder(name string) (unlock func(), err error) {
	target, err := textfile.FollowLinks(name)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(target)
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no folder %s; make it first (mkdir -p)", name, dir)
	}
	if err != nil {
		return nil, textfile.Explain(dir, err)
	}
	for errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX), unix.EINTR) {
	}
	return func() { f.Close() }, nil
}

var (
	noise        = regexp.MustCompile(`\((r|tm|c)\)|@.*|\b(cpu|processor|[0-9]+-core)\b`)
	gpuCores     = regexp.MustCompile(`([0-9]+)[ -](gpu )?cores?\b`)
	unsafeInName = regexp.MustCompile(`[^a-z0-9]+`)
)

// ResultsName is the file in a folder of results that a machine's rows belong into: the chip, and what tells its
// variants apart. That is how many cores the GPU has, as in apple-m3-max-40.csv, or else the process may use, as in
// amd-epyc-2-cores.csv.
func ResultsName(m Machine) string {
	chip := strings.ToLower(cmp.Or(m.CPUInfo, m.GPUInfo, m.System, "unknown"))
	cores := unlessZero("-%d-cores", m.Cores)
	if found := gpuCores.FindStringSubmatch(strings.ToLower(m.GPUInfo)); found != nil {
		cores = "-" + found[1]
	}
	chip = strings.Trim(unsafeInName.ReplaceAllString(noise.ReplaceAllString(chip, " "), "-"), "-")
	chip = strings.Trim(chip[:min(len(chip), 60)], "-")
	return cmp.Or(chip, "unknown") + cores + ".csv"
}
