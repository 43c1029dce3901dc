package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/glm4-metal/glm4-metal/model"
)

func TestOptionIsNotSetOrNotPrinted(t *testing.T) {
	values := map[string]string{
		"max-tokens": "7", "max-reasoning": "-1", "temp": "0.5", "top-p": "0.9", "top-k": "40", "min-p": "0.05",
		"seed":               "18446744073709551615",
		"repetition-penalty": "1.1", "presence-penalty": "-1", "frequency-penalty": "0.25", "repetition-context-size": "64",
		"logit-bias": "42=-1.5", "stop": `"a,b"`, "ignore-eos": "on",
	}
	for _, s := range samplingOptions {
		value, ok := values[s.name]
		require.True(t, ok, "a value for %s", s.name)
		var o model.Options
		require.NotEqual(t, value, s.print(&o), s.name)
		require.NoError(t, setOption(&o, s.name, strings.Trim(value, `"`)))
		require.Equal(t, value, s.print(&o), s.name)
		require.NotEqual(t, model.Options{}, o, s.name)
	}
}

func TestWrongOptionChangesAnything(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"temp", "hot", `temp is "hot"; it must be a number`},
		{"temp", "-1.0", "temp is -1.0; it must be 0 (greedy) or more"},
		{"temp", "inf", "temp is inf; it must be 0 (greedy) or more"},
		{"temp", "1e999", `temp is "1e999"; it must be a number`},
		{"temp", "", `temp is ""; it must be a number`},
		{"top-p", "1.5", "top-p is 1.5; it must be between 0 and 1"},
		{"top-k", "1.5", `top-k is "1.5"; it must be a whole number`},
		{"top-k", "4294967296", `top-k is "4294967296"; it must be a whole number between -2147483648 and 2147483647`},
		{"seed", "-1", `seed is "-1"; it must be a whole number between 0 and 18446744073709551615`},
		{"logit-bias", "5", `logit-bias is "5"; it must be ID=VALUE, such as 42=-1.5 or 42=-inf`},
		{"logit-bias", "5=NaN", "logit-bias is 5=NaN; it must be a number"},
		{"ignore-eos", "maybe", `ignore-eos is "maybe"; it must be on or off`},
		{"colour", "red", "there is no option colour"},
	} {
		before := model.Options{Temperature: 0.5, LogitBias: map[int32]float32{1: 1}}
		o := before
		require.EqualError(t, setOption(&o, test.name, test.text), test.want)
		require.Equal(t, before, o)
	}
}

func TestListsOfTwoOptionsAreOne(t *testing.T) {
	var first model.Options
	require.NoError(t, setOption(&first, "stop", "a"))
	require.NoError(t, setOption(&first, "logit-bias", "1=1"))
	second, third := first, first
	require.NoError(t, setOption(&second, "stop", "b"))
	require.NoError(t, setOption(&third, "stop", "c"))
	require.NoError(t, setOption(&second, "logit-bias", "2=2"))
	require.Equal(t, []string{"a", "b"}, second.Stop)
	require.Equal(t, []string{"a", "c"}, third.Stop)
	require.Equal(t, map[int32]float32{1: 1}, first.LogitBias)
	require.Equal(t, map[int32]float32{1: 1, 2: 2}, second.LogitBias)
	require.NoError(t, setOption(&second, "stop", ""))
	require.NoError(t, setOption(&second, "logit-bias", ""))
	require.Empty(t, second.Stop)
	require.Empty(t, second.LogitBias)
}
