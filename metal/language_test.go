package metal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLanguageIsNewerThanTheSystem(t *testing.T) {
	for system, want := range map[string]LanguageVersion{
		"": 0, "?": 0, "11.7.10": 0, "12.0": Language2_4, "12.7.6": Language2_4, "13.6": Language3_0, "14.1": Language3_1,
		"15.6.1": Language3_2, "26.1": Language3_2, "27": Language3_2,
	} {
		require.Equal(t, want, languageOf(system), "%q", system)
	}
}
