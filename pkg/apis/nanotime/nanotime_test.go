// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package nanotime_test

import (
	"encoding/json"
	"testing"
	"testing/quick"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"karo.io/karo/pkg/apis/nanotime"
)

var cest = time.FixedZone("CEST", 2*60*60)

func TestEqualInstantsAreEqualValues(t *testing.T) {
	now := time.Now()
	here, there := nanotime.New(now), nanotime.New(now.In(cest))
	if here != there {
		t.Errorf("%#v and %#v are one instant", here, there)
	}
	parsed, err := nanotime.Parse(here.String())
	if err != nil {
		t.Fatal(err)
	}
	// The clock of the process that time.Now reads beside the wall clock would make the two differ.
	if here != parsed {
		t.Errorf("%#v and %#v are one instant", here, parsed)
	}
}

func TestSemanticEquality(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC)
	type holder struct{ At *nanotime.Time }
	hold := func(at nanotime.Time) holder { return holder{At: &at} }
	for name, tc := range map[string]struct {
		a, b holder
		want bool
	}{
		"same value":                  {hold(nanotime.New(at)), hold(nanotime.New(at)), true},
		"same instant, other zone":    {hold(nanotime.Time{Time: at}), hold(nanotime.Time{Time: at.In(cest)}), true},
		"one nanosecond apart":        {hold(nanotime.New(at)), hold(nanotime.New(at.Add(1))), false},
		"one is missing":              {hold(nanotime.New(at)), holder{}, false},
		"both are missing":            {holder{}, holder{}, true},
		"the zero time is not absent": {hold(nanotime.Time{}), holder{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := equality.Semantic.DeepEqual(tc.a, tc.b); got != tc.want {
				t.Errorf("got %t, want %t", got, tc.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-03-01T12:00:00Z":                time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		"2026-03-01T12:00:00.000000001Z":      time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC),
		"2026-03-01T12:00:00.5+02:00":         time.Date(2026, 3, 1, 10, 0, 0, 500_000_000, time.UTC),
		"2026-03-01T12:00:00.123456789-01:30": time.Date(2026, 3, 1, 13, 30, 0, 123_456_789, time.UTC),
		"0001-01-01T00:00:00Z":                {},
	} {
		got, err := nanotime.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got != (nanotime.Time{Time: want}) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "now", "2026-03-01", "2026-03-01 12:00:00Z", "2026-03-01T12:00:00", "2026-13-01T12:00:00Z", "1767225600"} {
		_, err := nanotime.Parse(text)
		want := `"` + text + `" is not an RFC 3339 timestamp`
		if err == nil || err.Error() != want {
			t.Errorf("%q: got error %v, want %s", text, err, want)
		}
	}
}

func TestJSON(t *testing.T) {
	for name, tc := range map[string]struct {
		at   time.Time
		json string
	}{
		"zero":           {time.Time{}, `null`},
		"whole second":   {time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), `"2026-03-01T12:00:00Z"`},
		"nanosecond":     {time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC), `"2026-03-01T12:00:00.000000001Z"`},
		"no more digits": {time.Date(2026, 3, 1, 12, 0, 0, 120_000_000, time.UTC), `"2026-03-01T12:00:00.12Z"`},
		"written in UTC": {time.Date(2026, 3, 1, 12, 0, 0, 0, cest), `"2026-03-01T10:00:00Z"`},
		"just not zero":  {time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), `"0001-01-01T00:00:00.000000001Z"`},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(nanotime.Time{Time: tc.at})
			if err != nil {
				t.Fatal(err)
			}
			if string(data) != tc.json {
				t.Errorf("got %s, want %s", data, tc.json)
			}
			read := nanotime.New(time.Now()) // What was there before must not stay.
			if err := json.Unmarshal(data, &read); err != nil {
				t.Fatal(err)
			}
			if read != nanotime.New(tc.at) {
				t.Errorf("read back as %s, want %s", read, tc.at)
			}
		})
	}
}

func TestUnmarshalErrors(t *testing.T) {
	for data, want := range map[string]string{
		`1767225600`:   `timestamp 1767225600 is not a string`,
		`true`:         `timestamp true is not a string`,
		`{"a":1}`:      `timestamp {"a":1} is not a string`,
		`"yesterday"`:  `"yesterday" is not an RFC 3339 timestamp`,
		`""`:           `"" is not an RFC 3339 timestamp`,
		`"2026-03-01"`: `"2026-03-01" is not an RFC 3339 timestamp`,
	} {
		var at nanotime.Time
		if err := json.Unmarshal([]byte(data), &at); err == nil || err.Error() != want {
			t.Errorf("%s: got error %v, want %s", data, err, want)
		}
	}
}

func TestString(t *testing.T) {
	if got := (nanotime.Time{}).String(); got != "" {
		t.Errorf("the zero time is %q, want nothing", got)
	}
	if got, want := (nanotime.Time{Time: time.Date(2026, 3, 1, 12, 0, 0, 30, cest)}).String(), "2026-03-01T10:00:00.00000003Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	survives := func(seconds uint32, nanoseconds uint32) bool {
		at := nanotime.New(time.Unix(int64(seconds), int64(nanoseconds)))
		data, err := json.Marshal(at)
		if err != nil {
			return false
		}
		var read nanotime.Time
		if err := json.Unmarshal(data, &read); err != nil {
			return false
		}
		parsed, err := nanotime.Parse(at.String())
		return err == nil && read == at && parsed == at
	}
	if err := quick.Check(survives, nil); err != nil {
		t.Error(err)
	}
}

func TestDeepCopy(t *testing.T) {
	at := nanotime.New(time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC))
	var out nanotime.Time
	at.DeepCopyInto(&out)
	if out != at || *at.DeepCopy() != at {
		t.Errorf("got %s and %s, want %s", out, at.DeepCopy(), at)
	}
}

// A time whose offset carries it out of the years that RFC 3339 has must not get in: what could be written, and not be
// read again, would break every list that holds it.
func TestParseRefusesYearsThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"} {
		if parsed, err := nanotime.Parse(text); err == nil {
			t.Errorf("%s is accepted as %s", text, parsed)
		}
	}
	far := nanotime.New(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
	if text, err := json.Marshal(far); err == nil {
		t.Errorf("the year 10000 is written as %s", text)
	}
	if _, err := nanotime.Parse("9999-12-31T23:59:59.999999999Z"); err != nil {
		t.Error(err)
	}
}
