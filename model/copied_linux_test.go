package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// residentKB tells how much of a file's mapping is in memory.
func residentKB(t *testing.T, path string) int {
	all, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	_, of, found := strings.Cut(string(all), path+"\n")
	require.True(t, found)
	var kB int
	_, rss, _ := strings.Cut(of, "\nRss:")
	_, err = fmt.Sscanf(rss, "%d kB", &kB)
	require.NoError(t, err)
	return kB
}

// The pages of weights that the GPU has copied go, and those that it reads in place stay; both answer alike.
func TestCopiedWeightsStayInMemory(t *testing.T) {
	on := onMetal(t)
	var answers [][]int32
	for _, misaligned := range []bool{false, true} {
		dir, weights := copied(t, "../internal/demo/checkpoint")
		data, err := os.ReadFile(weights)
		require.NoError(t, err)
		length := binary.LittleEndian.Uint64(data)
		header := bytes.TrimRight(data[8:8+length], " ")
		for (len(header)+8)%16 != 0 != misaligned {
			header = append(header, ' ')
		}
		file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
		require.NoError(t, os.WriteFile(weights, append(file, data[8+length:]...), 0o600))

		m, err := Load(context.Background(), dir, func(o *loadOptions) { o.open = on.open })
		require.NoError(t, err)
		bytesCopied, inPlace, err := CopiedForGPU(m.checkpoint)
		require.NoError(t, err)
		require.Equal(t, misaligned, bytesCopied > 0)
		require.Equal(t, misaligned, inPlace == 0)
		require.Equal(t, !misaligned, m.inPlace)
		s := m.NewSession()
		answers = append(answers, collect(t, s, smallIDs(20), Options{MaxTokens: 8, IgnoreEOS: true}))
		require.NoError(t, s.Close())
		if resident := residentKB(t, weights); misaligned {
			require.Less(t, resident, 100)
		} else {
			require.Greater(t, resident, 3000)
		}
		require.NoError(t, m.Close())
	}
	require.Equal(t, answers[0], answers[1])
}
