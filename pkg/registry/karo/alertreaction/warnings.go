// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/matching"
)

// argumentWarnings tells of arguments with which whoever writes an alert can give an option to a program, and of those that
// are not given the value that they seem to be meant to.
func argumentWarnings(spec *karo.AlertReactionSpec) []string {
	var warnings []string
	actions := jobs.Actions(spec)
	for i := range actions {
		path := field.NewPath("spec", "actions").Index(i)
		if spec.JobTemplate != nil {
			path = field.NewPath("spec")
		}
		for _, argument := range jobs.UnguardedArguments(&actions[i]) {
			warnings = append(warnings, fmt.Sprintf("%s.%s: $%s is text of the alert, which the program takes for an option when it begins with a dash; put \"--\" before it",
				path, argument.Field, argument.Variable))
		}
		for _, argument := range jobs.UnknownReferences(&actions[i]) {
			warnings = append(warnings, fmt.Sprintf("%s.%s: names no variable of the action, so that the program gets it as it is written", path, argument))
		}
	}
	return warnings
}

// nearMiss matches literal values that look as if a part of the alert was meant.
var nearMiss = regexp.MustCompile(`(?i)^(labels?|annotations?)(\.|$)|^(status|startsAt|endsAt|generatorURL|fingerprint|\.)$|^(\{\{|\$labels|\$annotations)`)

// valueWarnings tells of values in v1 that look like a part of the alert and are literal.
func valueWarnings(spec *karo.AlertReactionSpec) []string {
	var warnings []string
	for i := range spec.Actions {
		for j := range spec.Actions[i].Env {
			// What IsExpression knows is literal because somebody escaped it.
			if v := &spec.Actions[i].Env[j]; nearMiss.MatchString(v.Literal) && !karo.IsExpression(v.Literal) {
				path := field.NewPath("spec", "actions").Index(i).Child("env").Index(j).Child("value")
				warnings = append(warnings, fmt.Sprintf("%s: %q is literal; \"status\", \"labels.<name>\" and \"annotations.<name>\" are taken from the alert, other fields by valueFrom.alertRef",
					path, v.Literal))
			}
		}
	}
	return warnings
}

// alertFields are the fields of an alert that a matcher of the operator before this server could name beside labels.
var alertFields = []string{"status", "startsAt", "endsAt", "generatorURL", "fingerprint"}

// matcherNameWarnings tells of matchers in v1 whose name is perhaps not meant as that of a label.
func matcherNameWarnings(spec *karo.AlertReactionSpec) []string {
	var warnings []string
	for i, m := range spec.Matchers {
		path := field.NewPath("spec", "matchers").Index(i).Child("name")
		if label, ok := strings.CutPrefix(m.Name, "labels."); ok {
			warnings = append(warnings, fmt.Sprintf("%s: %q is the name of a label; write %q for the label %q", path, m.Name, label, label))
		}
		if slices.Contains(alertFields, m.Name) {
			warnings = append(warnings, fmt.Sprintf("%s: %q is the name of a label, not the field of the alert; for the status there is spec.when", path, m.Name))
		}
	}
	return warnings
}

// matcherWarnings tells of matchers in v1alpha1 that meant something else to the operator before this server.
func matcherWarnings(spec *karo.AlertReactionSpec) []string {
	var warnings []string
	for i, m := range spec.Matchers {
		path := field.NewPath("spec", "matchers").Index(i)
		warn := func(format string, args ...any) {
			warnings = append(warnings, fmt.Sprintf("%s: %s", path, fmt.Sprintf(format, args...)))
		}
		if label, ok := strings.CutPrefix(m.Name, "labels."); ok {
			warn("%q is the name of a label here; the label %q was meant before", m.Name, label)
		}
		if slices.Contains(alertFields, m.Name) {
			warn("%q is the name of a label here; the field of the alert was meant before", m.Name)
		}
		isRegexp := m.Operator == karo.MatchRegexp || m.Operator == karo.MatchNotRegexp
		if isRegexp && !isAnchored(m.Value) {
			warn("the regular expression has to match the whole value here; write %q to match a part of it, as before", ".*("+m.Value+").*")
		}
		if matching.MatchesEmpty(m) {
			warn("an alert without %q has the empty value here, which matches; such an alert did not match before", m.Name)
		}
	}
	return warnings
}

// isAnchored reports whether a regular expression says itself what stands at both ends of the value.
func isAnchored(expression string) bool {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return true // It is refused elsewhere.
	}
	first := func(subs []*syntax.Regexp) *syntax.Regexp { return subs[0] }
	last := func(subs []*syntax.Regexp) *syntax.Regexp { return subs[len(subs)-1] }
	return isFixed(parsed, syntax.OpBeginText, first) && isFixed(parsed, syntax.OpEndText, last)
}

// isFixed reports whether a regular expression can match at one end of the value only there, or matches whatever is
// between it and that end.
func isFixed(re *syntax.Regexp, anchor syntax.Op, end func([]*syntax.Regexp) *syntax.Regexp) bool {
	switch re.Op {
	case anchor:
		return true
	case syntax.OpStar:
		return re.Sub[0].Op == syntax.OpAnyCharNotNL || re.Sub[0].Op == syntax.OpAnyChar
	case syntax.OpCapture, syntax.OpConcat:
		return len(re.Sub) > 0 && isFixed(end(re.Sub), anchor, end)
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !isFixed(sub, anchor, end) {
				return false
			}
		}
		return true
	}
	return false
}
