package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glm4-metal/glm4-metal/internal/backend"
	"github.com/glm4-metal/glm4-metal/loader"
)

// Memory is what a model takes, in bytes.
type Memory struct {
	Weights int64 // the checkpoint's tensors
	KV      int64 // the cache of one session with a full context
	Scratch int64 // activations of one prefill chunk
}

// Total is the sum.
func (m Memory) Total() int64 { return m.Weights + m.KV + m.Scratch }

// DefaultPrefillChunk is how many tokens of a prompt are computed in one step where [PrefillChunk] does not say.
const DefaultPrefillChunk = 512

// EstimateMemory is what a model of a config takes whose weights have some bytes, with a KV cache of that many tokens
// in numbers of kvBits, 16 or 32, where prompts are computed chunk tokens at a time.
func EstimateMemory(c loader.Config, weights int64, context, chunk, kvBits int) Memory {
	row := 3*c.Hidden + 2*c.Heads*c.HeadDim + c.FFN
	return Memory{
		Weights: weights,
		KV:      attention(c).CacheBytes(c.Layers, context, kvFormat(kvBits)),
		Scratch: 4 * (int64(chunk)*int64(row) + int64(c.Vocab)),
	}
}

// kvFormat is the format of a KV cache with numbers of some bits.
func kvFormat(bits int) backend.Format {
	if bits == 32 {
		return backend.F32
	}
	return backend.F16
}

// check refuses what cannot fit on the device, or into what its process may allocate. Weights that the system can page
// count only where it cannot; they are mapped already.
func (m Memory) check(d backend.Info) error {
	need := m.KV + m.Scratch
	if !d.Paged {
		need += m.Weights
	}
	switch {
	case d.Memory > 0 && need > d.Memory:
		return fmt.Errorf("the model needs %s (weights %s, KV cache %s, scratch %s), %s: %s",
			gigabytes(m.Total()), gigabytes(m.Weights), gigabytes(m.KV), gigabytes(m.Scratch), memoryOf(d),
			waysOut(need-m.KV < d.Memory, !d.Paged, d.MemoryLimit != ""))
	case d.Room > 0 && m.KV+m.Scratch > d.Room:
		return fmt.Errorf("the model needs %s beside its weights (KV cache %s, scratch %s), %s leaves %s: %s",
			gigabytes(m.KV+m.Scratch), gigabytes(m.KV), gigabytes(m.Scratch), d.RoomLimit, gigabytes(d.Room),
			waysOut(m.Scratch < d.Room, false, true))
	}
	return nil
}

// fitting is the longest context, at most `most` tokens, whose KV cache fits a device beside all else, when a token
// takes some bytes of it; one step of the cache where even that does not. A device that pages the weights shares its
// memory with the rest of the machine, which is left an eighth; where the weights exceed it anyway, the cache takes no
// more than another eighth from their pages.
func (m Memory) fitting(d backend.Info, most int, token int64) int {
	rooms := []int64{int64(most) * token}
	switch others := m.Weights + m.Scratch; {
	case d.Memory == 0:
	case d.Paged:
		rooms = append(rooms, max(d.Memory-d.Memory/8-others, d.Memory/8))
	default:
		rooms = append(rooms, d.Memory-others)
	}
	if d.Room > 0 {
		rooms = append(rooms, d.Room-m.Scratch)
	}
	if tokens := slices.Min(rooms) / token; tokens < int64(most) {
		return min(most, max(int(tokens)/backend.CacheStep, 1)*backend.CacheStep)
	}
	return most
}

// memoryOf says who has how much memory.
func memoryOf(d backend.Info) string {
	if d.MemoryLimit != "" {
		return fmt.Sprintf("%s allows %s", d.MemoryLimit, gigabytes(d.Memory))
	}
	return fmt.Sprintf("%s has %s", d.Device, gigabytes(d.Memory))
}

// waysOut advises what helps where there is too little memory.
func waysOut(smaller, fewerBits, limited bool) string {
	var ways []string
	if smaller {
		ways = append(ways, "a smaller context")
	}
	if fewerBits {
		ways = append(ways, "a checkpoint with fewer bits")
	}
	if limited {
		ways = append(ways, "a higher limit")
	} else {
		ways = append(ways, "a machine with more memory")
	}
	if n := len(ways); n > 2 {
		return "take " + strings.Join(ways[:n-1], ", ") + ", or " + ways[n-1]
	}
	return "take " + strings.Join(ways, " or ")
}

// warning tells of weights that exceed the memory of a device that pages them: they run, but from the disk.
func (m Memory) warning(d backend.Info) string {
	if !d.Paged || d.Memory == 0 || m.Total() <= d.Memory {
		return ""
	}
	better := "a checkpoint with fewer bits"
	if m.Weights+m.Scratch <= d.Memory {
		better += " or a smaller context"
	}
	return fmt.Sprintf("the model needs %s, %s: every token will wait for the disk; %s would fit better",
		gigabytes(m.Total()), memoryOf(d), better)
}

// gigabytes writes a size for people, in GB or MB of 1000.
func gigabytes(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
