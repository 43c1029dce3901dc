package bench

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// column is a field of Row with a single value. It is called as in JSON.
type column struct {
	name  string
	index []int
}

// columns are all of them, in the order of the fields.
var columns = func() (all []column) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Row]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || f.Type.Kind() == reflect.Slice {
			continue
		}
		all = append(all, column{name, f.Index})
	}
	return all
}()

func (c column) of(row *Row) reflect.Value { return reflect.ValueOf(row).Elem().FieldByIndex(c.index) }

// text spells a value in full. What is not known is "".
func (c column) text(row *Row) string {
	field := c.of(row)
	switch v := field.Interface().(type) {
	case string:
		return storable(v)
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	}
	switch {
	case field.IsZero() && c.name != "n_prompt" && c.name != "n_gen" && c.name != "n_depth": // where 0 is known
		return ""
	case field.CanInt():
		return strconv.FormatInt(field.Int(), 10)
	}
	return strconv.FormatFloat(field.Float(), 'f', -1, 64)
}

// set is the reverse of text.
func (c column) set(row *Row, text string) error {
	if text == "" {
		return nil
	}
	var err error
	need := "a whole number"
	switch p := c.of(row).Addr().Interface().(type) {
	case *string:
		*p = text
	case *time.Time:
		need = "a time such as 2025-04-14T09:05:07Z"
		*p, err = time.Parse(time.RFC3339, text)
	case *float64:
		need = "a number"
		*p, err = strconv.ParseFloat(text, 64)
	case *int:
		*p, err = strconv.Atoi(text)
	case *int64:
		*p, err = strconv.ParseInt(text, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("%s is %.40q; %s is needed", c.name, text, need)
	}
	return nil
}

// check refuses what no measurement gives.
func (row *Row) check() error {
	for _, c := range columns {
		v := c.of(row)
		if v.CanInt() && v.Int() < 0 || v.CanFloat() && !(v.Float() >= 0 && v.Float() <= math.MaxFloat64) {
			return fmt.Errorf("%s is %v; a number of 0 or more is needed", c.name, v)
		}
	}
	for _, ns := range row.SamplesNS {
		if ns < 0 {
			return fmt.Errorf("samples_ns has %d; numbers of 0 or more are needed", ns)
		}
	}
	for _, ts := range row.SamplesTS {
		if !(ts >= 0 && ts <= math.MaxFloat64) {
			return fmt.Errorf("samples_ts has %v; numbers of 0 or more are needed", ts)
		}
	}
	switch year := row.TestTime.UTC().Year(); {
	case year < 0 || year > 9999:
		return fmt.Errorf("test_time is in the year %d; one from 0 to 9999 is needed", year)
	case row.Prompt == 0 && row.Generate == 0:
		return errors.New("n_prompt and n_gen are missing or 0; a result has one of them or both")
	case row.AvgTS == 0:
		return errors.New("avg_ts is missing or 0; a result has a speed")
	}
	return nil
}

// storable replaces what some format does not keep: what is no UTF-8, carriage returns, which CSV joins with the end of
// a line, and NUL, which ends SQL.
func storable(s string) string {
	return strings.NewReplacer("\r", " ", "\x00", " ").Replace(strings.ToValidUTF8(s, "\ufffd"))
}
