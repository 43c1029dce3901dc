package bench

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// rows are those of the series that have samples.
func (r *run) rows(machine Machine) []Row {
	info := r.model.Info()
	common := Row{
		Engine:        "glm4-metal",
		Version:       runtime.Version(),
		Machine:       machine,
		Backends:      "Metal",
		Device:        info.Device,
		ModelFilename: info.Name,
		ModelType:     r.shape.Name,
		ModelSize:     r.shape.Bytes,
		ModelNParams:  r.shape.Params,
		NBatch:        info.Chunk,
		TypeK:         fmt.Sprintf("f%d", info.KVBits),
		LoadNS:        info.LoadTime.Nanoseconds(),
		PeakMemory:    float64(PeakMemory()) / 1e9,
	}
	common.TypeV = common.TypeK
	if info.Backend == "cpu" {
		common.Backends, common.NThreads = "CPU", runtime.GOMAXPROCS(0)
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		common.BuildCommit = commit(build)
	}
	var rows []Row
	for _, s := range r.series {
		if len(s.samples) == 0 {
			continue
		}
		row := common
		s.summarise(&row)
		l := s.limits()
		row.Bandwidth, row.Products, row.Attention, row.LaunchNS = l.Bandwidth, l.Products, l.Attention, float64(l.Launch)
		least, by := r.limit(l, r.shape, s.test, info.Chunk)
		if row.Limit, row.LimitTS = by, tps(s.test.Prompt+s.test.Generate, least); row.LimitTS > 0 {
			row.OfLimit = row.MedianTS / row.LimitTS
		}
		rows = append(rows, row)
	}
	return rows
}
