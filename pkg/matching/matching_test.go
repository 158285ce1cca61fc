// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package matching_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/matching"
)

func compile(t *testing.T, spec *karo.AlertReactionSpec) *matching.Rules {
	t.Helper()
	rules, errs := matching.Compile(spec, field.NewPath("spec"))
	if len(errs) > 0 {
		t.Fatalf("compiling: %v", errs)
	}
	return rules
}

func TestMatch(t *testing.T) {
	alert := &karo.AlertOccurrence{
		// The name that stands beside the labels is for reading: the label decides.
		Name: "not the label",
		Labels: map[string]string{
			"alertname":   "KubePodCrashLooping",
			"severity":    "critical",
			"empty":       "",
			"lines":       "one\ntwo",
			"http.status": "500",
			"größe":       "groß 🔥",
			"annotations": "a label",
		},
		Annotations: map[string]string{
			"runbook_url": "https://runbooks/crash",
			"severity":    "an annotation",
			"größe":       "klein",
		},
	}
	for name, tc := range map[string]struct {
		matcher karo.Matcher
		want    bool
	}{
		"= the same":                     {karo.Matcher{Name: "severity", Operator: "=", Value: "critical"}, true},
		"no operator is =":               {karo.Matcher{Name: "severity", Value: "critical"}, true},
		"no operator, another":           {karo.Matcher{Name: "severity", Value: "warning"}, false},
		"= another":                      {karo.Matcher{Name: "severity", Operator: "=", Value: "warning"}, false},
		"= a part":                       {karo.Matcher{Name: "severity", Operator: "=", Value: "critic"}, false},
		"= case counts":                  {karo.Matcher{Name: "severity", Operator: "=", Value: "Critical"}, false},
		"= is no regular expression":     {karo.Matcher{Name: "severity", Operator: "=", Value: "crit.*"}, false},
		"= nothing, missing":             {karo.Matcher{Name: "missing", Operator: "=", Value: ""}, true},
		"= nothing, empty":               {karo.Matcher{Name: "empty", Operator: "=", Value: ""}, true},
		"= something, missing":           {karo.Matcher{Name: "missing", Operator: "=", Value: "x"}, false},
		"!= the same":                    {karo.Matcher{Name: "severity", Operator: "!=", Value: "critical"}, false},
		"!= another":                     {karo.Matcher{Name: "severity", Operator: "!=", Value: "warning"}, true},
		"!= something, missing":          {karo.Matcher{Name: "missing", Operator: "!=", Value: "x"}, true},
		"!= nothing, missing":            {karo.Matcher{Name: "missing", Operator: "!=", Value: ""}, false},
		"=~ the whole":                   {karo.Matcher{Name: "severity", Operator: "=~", Value: "critical|warning"}, true},
		"=~ is anchored at the start":    {karo.Matcher{Name: "severity", Operator: "=~", Value: "ritical"}, false},
		"=~ is anchored at the end":      {karo.Matcher{Name: "severity", Operator: "=~", Value: "critic"}, false},
		"=~ each alternative is":         {karo.Matcher{Name: "severity", Operator: "=~", Value: "x|critic"}, false},
		"=~ a dot is no line end":        {karo.Matcher{Name: "lines", Operator: "=~", Value: "one.two"}, false},
		"=~ over lines":                  {karo.Matcher{Name: "lines", Operator: "=~", Value: `(?s)one.two`}, true},
		"=~ anything, missing":           {karo.Matcher{Name: "missing", Operator: "=~", Value: ".*"}, true},
		"=~ something, missing":          {karo.Matcher{Name: "missing", Operator: "=~", Value: ".+"}, false},
		"!~ the whole":                   {karo.Matcher{Name: "severity", Operator: "!~", Value: "critical|warning"}, false},
		"!~ a part":                      {karo.Matcher{Name: "severity", Operator: "!~", Value: "critic"}, true},
		"!~ something, missing":          {karo.Matcher{Name: "missing", Operator: "!~", Value: ".+"}, true},
		"!~ anything, missing":           {karo.Matcher{Name: "missing", Operator: "!~", Value: ".*"}, false},
		"a name with dots":               {karo.Matcher{Name: "http.status", Operator: "=", Value: "500"}, true},
		"a name in UTF-8":                {karo.Matcher{Name: "größe", Operator: "=", Value: "groß 🔥"}, true},
		"annotation":                     {karo.Matcher{Name: "annotations.runbook_url", Operator: "=~", Value: "https://.*"}, true},
		"annotation, not the label":      {karo.Matcher{Name: "annotations.severity", Operator: "=", Value: "an annotation"}, true},
		"label, not the annotation":      {karo.Matcher{Name: "runbook_url", Operator: "=", Value: ""}, true},
		"annotation in UTF-8":            {karo.Matcher{Name: "annotations.größe", Operator: "=", Value: "klein"}, true},
		"annotation, missing":            {karo.Matcher{Name: "annotations.missing", Operator: "=", Value: ""}, true},
		"annotation, missing, something": {karo.Matcher{Name: "annotations.missing", Operator: "=~", Value: ".+"}, false},
		"a label that begins like one":   {karo.Matcher{Name: "annotations", Operator: "=", Value: "a label"}, true},
		"alertname as a matcher":         {karo.Matcher{Name: "alertname", Operator: "=~", Value: "Kube.*"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			// The alert name keeps the rules selective, whatever the matcher does.
			spec := &karo.AlertReactionSpec{AlertName: "KubePodCrashLooping", Matchers: []karo.Matcher{tc.matcher}}
			if got := compile(t, spec).Match(alert); got != tc.want {
				t.Errorf("%+v: got %t, want %t", tc.matcher, got, tc.want)
			}
		})
	}
}

func TestEveryConditionMustHold(t *testing.T) {
	spec := &karo.AlertReactionSpec{
		AlertName: "A",
		Matchers:  []karo.Matcher{{Name: "x", Operator: "=", Value: "1"}, {Name: "annotations.y", Operator: "=", Value: "2"}},
	}
	rules := compile(t, spec)
	for name, tc := range map[string]struct {
		alert karo.AlertOccurrence
		want  bool
	}{
		"all": {karo.AlertOccurrence{
			Labels: map[string]string{"alertname": "A", "x": "1"}, Annotations: map[string]string{"y": "2"},
		}, true},
		"not the name": {karo.AlertOccurrence{
			Name: "A", Labels: map[string]string{"alertname": "B", "x": "1"}, Annotations: map[string]string{"y": "2"},
		}, false},
		"not the label": {karo.AlertOccurrence{
			Labels: map[string]string{"alertname": "A", "x": "2"}, Annotations: map[string]string{"y": "2"},
		}, false},
		"not the annotation": {karo.AlertOccurrence{
			Labels: map[string]string{"alertname": "A", "x": "1"}, Annotations: map[string]string{"y": "1"},
		}, false},
		"nothing at all": {karo.AlertOccurrence{}, false},
	} {
		if got := rules.Match(&tc.alert); got != tc.want {
			t.Errorf("%s: got %t, want %t", name, got, tc.want)
		}
	}
}

func TestExplain(t *testing.T) {
	rules := compile(t, &karo.AlertReactionSpec{
		AlertName: "A",
		Matchers: []karo.Matcher{
			{Name: "severity", Operator: "=~", Value: `crit"ical`},
			{Name: "http status", Operator: "!=", Value: "500"},
			{Name: "annotations.summary", Operator: "!~", Value: "x+"},
		},
	})
	got := rules.Explain(&karo.AlertOccurrence{
		Labels:      map[string]string{"alertname": "A", "http status": "500"},
		Annotations: map[string]string{"summary": "text"},
	})
	want := []karo.MatcherResult{
		{Matcher: `alertname="A"`, Value: "A", Matches: true},
		{Matcher: `severity=~"crit\"ical"`, Value: "", Matches: false},
		{Matcher: `"http status"!="500"`, Value: "500", Matches: false},
		{Matcher: `annotations.summary!~"x+"`, Value: "text", Matches: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const text = `{alertname="A",severity=~"crit\"ical","http status"!="500",annotations.summary!~"x+"}`
	if rules.String() != text {
		t.Errorf("got %s, want %s", rules, text)
	}
}

// What a matcher may look like is the validation's to test; here it is that nothing of a bad spec is left to match.
func TestCompileRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		spec karo.AlertReactionSpec
		path string
	}{
		"nothing to match":          {karo.AlertReactionSpec{}, "spec.alertName"},
		"no regular expression":     {karo.AlertReactionSpec{AlertName: "A", Matchers: []karo.Matcher{{Name: "a", Operator: "=~", Value: "("}}}, "spec.matchers[0].value"},
		"a reference back":          {karo.AlertReactionSpec{AlertName: "A", Matchers: []karo.Matcher{{Name: "a", Operator: "!~", Value: `(a)\1`}}}, "spec.matchers[0].value"},
		"an operator that is none":  {karo.AlertReactionSpec{AlertName: "A", Matchers: []karo.Matcher{{Name: "a", Operator: "==", Value: "x"}}}, "spec.matchers[0].operator"},
		"no name":                   {karo.AlertReactionSpec{AlertName: "A", Matchers: []karo.Matcher{{Operator: "=", Value: "x"}}}, "spec.matchers[0].name"},
		"the second one":            {karo.AlertReactionSpec{AlertName: "A", Matchers: []karo.Matcher{{Name: "a", Operator: "="}, {Name: "b", Operator: "x"}}}, "spec.matchers[1].operator"},
		"matches any alert":         {karo.AlertReactionSpec{Matchers: []karo.Matcher{{Name: "a", Operator: "=~", Value: ".*"}}}, "spec.matchers"},
		"a name that is not UTF-8":  {karo.AlertReactionSpec{AlertName: "A", Matchers: []karo.Matcher{{Name: "\xff", Operator: "="}}}, "spec.matchers[0].name"},
		"an expression of any size": {karo.AlertReactionSpec{AlertName: "A", Matchers: []karo.Matcher{{Name: "a", Operator: "=~", Value: strings.Repeat("(", 2000)}}}, "spec.matchers[0].value"},
	} {
		t.Run(name, func(t *testing.T) {
			rules, errs := matching.Compile(&tc.spec, field.NewPath("spec"))
			if rules != nil {
				t.Errorf("got rules %s, want none", rules)
			}
			if len(errs) != 1 || errs[0].Field != tc.path {
				t.Errorf("got errors %v, want one at %s", errs, tc.path)
			}
		})
	}
}

// FuzzCompile gives specs any texts: they compile, or are refused with the path of a field, and what compiles says the
// same of an alert whichever way it is asked.
func FuzzCompile(f *testing.F) {
	for _, value := range []string{"", "x", ".*", ".+", "a|b", "(", "[", `\`, "(?i)x", "x{2,1}", "x{1001}", `(a)\1`, "\xff", "größe", "\n", "^x$", strings.Repeat("(", 1100)} {
		for _, operator := range []string{"=", "!=", "=~", "!~", "", "=="} {
			f.Add("A", "severity", operator, value, "critical")
			f.Add("", "annotations.summary", operator, value, value)
		}
	}
	f.Add("\xff", "", "=", "", "")
	f.Add("", "annotations.", "=", "x", "")
	f.Add("", "a\xff", "=", "x", "")
	f.Fuzz(func(t *testing.T, alertName, name, operator, value, text string) {
		spec := &karo.AlertReactionSpec{AlertName: alertName, Matchers: []karo.Matcher{{Name: name, Operator: karo.MatchOperator(operator), Value: value}}}
		rules, errs := matching.Compile(spec, field.NewPath("spec"))
		if (rules == nil) != (len(errs) > 0) {
			t.Fatalf("got rules %v and errors %v, want one of them", rules, errs)
		}
		for _, err := range errs {
			if !strings.HasPrefix(err.Field, "spec.alertName") && !strings.HasPrefix(err.Field, "spec.matchers") {
				t.Errorf("%v is of no field of a condition", err)
			}
		}
		if rules == nil {
			return
		}
		// At least one condition is not met by an alert without labels, or every alert would be answered.
		if rules.Match(&karo.AlertOccurrence{}) {
			t.Errorf("%s matches an alert that has nothing", rules)
		}
		for _, alert := range []*karo.AlertOccurrence{
			{Labels: map[string]string{"alertname": alertName, name: text}},
			{Labels: map[string]string{"alertname": alertName}, Annotations: map[string]string{strings.TrimPrefix(name, "annotations."): text}},
		} {
			all := true
			for _, result := range rules.Explain(alert) {
				all = all && result.Matches
			}
			if got := rules.Match(alert); got != all {
				t.Errorf("%s of %v: got %t, and explained as %t", rules, alert, got, all)
			}
		}
	})
}
