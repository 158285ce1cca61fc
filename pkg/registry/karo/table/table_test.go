// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/table"
)

// ofAlerts prints the name of an alert, and how many reactions it has.
func ofAlerts() *table.Convertor[*karo.Alert] {
	return table.New(func(a *karo.Alert) []any { return []any{a.Spec.Name, int64(len(a.Status.Reactions))} },
		table.Column{Name: "Alert", Type: "string", Description: "Name of the alert."},
		table.Column{Name: "Reactions", Type: "integer", Description: "How many reactions it has.", Priority: 1},
	)
}

func convert(t *testing.T, c *table.Convertor[*karo.Alert], obj, options runtime.Object) *metav1.Table {
	t.Helper()
	got, err := c.ConvertToTable(t.Context(), obj, options)
	if err != nil {
		t.Fatalf("converting to a table: %v", err)
	}
	return got
}

// The texts of alerts come from outside, and tables are read in terminals.
func TestTextIsHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"KubePodCrashLooping":           "KubePodCrashLooping",
		"größe 🔥":                       "größe 🔥",
		"\x1b[31mred\x1b[0m":            "\ufffd[31mred\ufffd[0m",
		"\x1b]0;title\a":                "\ufffd]0;title\ufffd",
		"\u009b31m":                     "\ufffd31m", // What begins a sequence, as one character.
		"two\nlines\r":                  "two\ufffdlines\ufffd",
		"a\ttab\b":                      "a\ufffdtab\ufffd",
		"\u202egnp.exe":                 "\ufffdgnp.exe", // Letters that would be shown from right to left.
		"\u200b\u2028":                  "\ufffd\ufffd",
		"a\x00b\x7f":                    "a\ufffdb\ufffd",
		"\xff":                          "\ufffd",
		strings.Repeat("a", 100):        strings.Repeat("a", 100),
		strings.Repeat("a", 101):        strings.Repeat("a", 99) + "…",
		strings.Repeat("ü", 100):        strings.Repeat("ü", 100),
		strings.Repeat("ü", 101):        strings.Repeat("ü", 99) + "…", // No character is cut in two.
		strings.Repeat("\x1b", 100_000): strings.Repeat("\ufffd", 99) + "…",
	} {
		a := &karo.Alert{Spec: karo.AlertSpec{Name: text}}
		a.Name = text // Whatever a name may be, it is no exception.
		row := convert(t, ofAlerts(), a, nil).Rows[0]
		for _, i := range []int{0, 1} {
			if got := row.Cells[i]; got != want {
				t.Errorf("%.100q: cell %d is %.400q, want %q", text, i, got, want)
			}
		}
		if row.Cells[2] != int64(0) {
			t.Errorf("%.100q: a number becomes %v", text, row.Cells[2])
		}
	}
}

// created returns an Alert that was created so many seconds after the others.
func created(name string, seconds int64) karo.Alert {
	return karo.Alert{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(1_772_366_400+seconds, 0)}}
}

func TestOrderOfRows(t *testing.T) {
	list := &karo.AlertList{Items: []karo.Alert{created("b", 2), created("d", 4), created("a", 1), created("c-2", 3), created("c-1", 3), {ObjectMeta: metav1.ObjectMeta{Name: "none"}}}}
	for name, tc := range map[string]struct {
		convertor *table.Convertor[*karo.Alert]
		want      []string
	}{
		"as they are listed": {ofAlerts(), []string{"b", "d", "a", "c-2", "c-1", "none"}},
		// Those of one instant stay in the order of the list.
		"newest last": {ofAlerts().NewestLast(), []string{"none", "a", "b", "c-2", "c-1", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, row := range convert(t, tc.convertor, list, nil).Rows {
				got = append(got, row.Cells[0].(string))
				if a := row.Object.Object.(*karo.Alert); a.Name != row.Cells[0] {
					t.Errorf("the row of %s has the object %s", row.Cells[0], a.Name)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A storm creates many objects within a second, and they stay as they are listed: by name.
func TestOrderOfRowsOfOneInstant(t *testing.T) {
	list := &karo.AlertList{}
	for i := range 100 {
		list.Items = append(list.Items, created(fmt.Sprintf("a-%02d", i), int64(i%2)))
	}
	rows := convert(t, ofAlerts().NewestLast(), list, nil).Rows
	for i, row := range rows {
		if want := fmt.Sprintf("a-%02d", i%50*2+i/50); row.Cells[0] != want {
			t.Fatalf("row %d is %s, want %s", i, row.Cells[0], want)
		}
	}
}

func TestHeaders(t *testing.T) {
	type header struct {
		Name, Type, Format string
		Priority           int32
	}
	want := []header{{"Name", "string", "name", 0}, {"Alert", "string", "", 0}, {"Reactions", "integer", "", 1}, {"Age", "string", "", 0}}
	for name, tc := range map[string]struct {
		options runtime.Object
		want    []header
	}{
		"no options":   {nil, want},
		"headers":      {&metav1.TableOptions{}, want},
		"no headers":   {&metav1.TableOptions{NoHeaders: true}, nil},
		"of something": {&metav1.GetOptions{}, want},
	} {
		t.Run(name, func(t *testing.T) {
			a := created("a", 0)
			result := convert(t, ofAlerts(), &a, tc.options)
			var got []header
			for _, c := range result.ColumnDefinitions {
				got = append(got, header{c.Name, c.Type, c.Format, c.Priority})
				if c.Description == "" {
					t.Errorf("column %s has no description", c.Name)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(result.Rows) != 1 || len(result.Rows[0].Cells) != len(want) {
				t.Errorf("got the rows %v, want one of %d cells", result.Rows, len(want))
			}
		})
	}
}

// A client that lists page by page asks for the next with what the table says.
func TestMetadataOfTheTable(t *testing.T) {
	page := metav1.ListMeta{ResourceVersion: "7", Continue: "next", RemainingItemCount: new(int64(3))}
	object := created("a", 0)
	object.ResourceVersion = "5"
	for name, tc := range map[string]struct {
		obj  runtime.Object
		want metav1.ListMeta
	}{
		"a page":        {&karo.AlertList{ListMeta: page, Items: []karo.Alert{object}}, page},
		"the last page": {&karo.AlertList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}, metav1.ListMeta{ResourceVersion: "7"}},
		"an object":     {&object, metav1.ListMeta{ResourceVersion: "5"}},
		"an empty list": {&karo.AlertList{}, metav1.ListMeta{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, convert(t, ofAlerts(), tc.obj, nil).ListMeta); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAge(t *testing.T) {
	a := created("a", 0)
	a.CreationTimestamp = metav1.NewTime(time.Now().Add(-26 * time.Hour))
	if got := convert(t, ofAlerts(), &a, nil).Rows[0].Cells[3]; got != "26h" {
		t.Errorf("got the age %v, want 26h", got)
	}
	for _, tc := range []struct {
		at   *metav1.Time
		want string
	}{
		{nil, "<never>"}, {&metav1.Time{}, "<unknown>"}, {&a.CreationTimestamp, "26h"},
	} {
		if got := table.Since(tc.at); got != tc.want {
			t.Errorf("since %v: got %s, want %s", tc.at, got, tc.want)
		}
	}
}
