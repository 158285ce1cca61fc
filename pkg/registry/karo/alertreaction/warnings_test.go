// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"slices"
	"testing"

	"karo.io/karo/pkg/apis/karo"
)

func expectWarnings(t *testing.T, name string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got warnings %q, want %q", name, got, want)
	}
}

func TestArgumentWarnings(t *testing.T) {
	env := []karo.EnvVar{{Name: "POD", Expression: "labels.pod"}}
	spec := &karo.AlertReactionSpec{Actions: []karo.Action{
		{Command: []string{"kubectl", "delete", "pod", "$POD"}, Env: env},
		{Args: []string{"--", "$POD"}, Env: env},
		{Command: []string{"rm"}, Args: []string{"-f", "${POD}"}, Env: env},
		{Command: []string{"echo", "$PODS"}, Args: []string{"$KARO_STATUS", "$KARO_ALERT_0", "$5", "${NOPE}", "cost: $NOPE"}, Env: env},
		{Command: []string{"sh", "-c"}, Args: []string{"$HOOK"}},
	}}
	const unknown = `: names no variable of the action, so that the program gets it as it is written`
	const why = `: $POD is text of the alert, which the program takes for an option when it begins with a dash; put "--" before it`
	expectWarnings(t, "arguments", argumentWarnings(spec), "spec.actions[0].command[3]"+why, "spec.actions[2].args[1]"+why,
		"spec.actions[3].command[1]"+unknown, "spec.actions[3].args[3]"+unknown)
}

func TestValueWarnings(t *testing.T) {
	for value, want := range map[string]bool{
		"label.pod": true, "annotation.summary": true, "labels": true, "labels.": true, "annotations": true, "annotations.": true,
		"Status": true, "STATUS": true, "startsAt": true, "endsAt": true, "generatorURL": true, "fingerprint": true, ".": true,
		"{{ .Labels.pod }}": true, "$labels.pod": true, "$annotations.summary": true,
		// What looks like an expression is literal because somebody escaped it.
		"labels.pod": false, "status": false, "annotations.x": false,
		"": false, "text": false, "labelled": false, "relabels.x": false, "..": false, "starts": false, "$HOME": false, "xstartsAt": false,
	} {
		spec := &karo.AlertReactionSpec{Actions: []karo.Action{{}, {Env: []karo.EnvVar{{Name: "A", Expression: "labels.pod"}, {Name: "B", Literal: value}}}}}
		var wanted []string
		if want {
			wanted = []string{`spec.actions[1].env[1].value: "` + value + `" is literal; "status", "labels.<name>" and "annotations.<name>" are taken from the alert, other fields by valueFrom.alertRef`}
		}
		expectWarnings(t, value, valueWarnings(spec), wanted...)
	}
}

// In variables one writes labels.pod, and in matchers pod.
func TestMatcherNameWarnings(t *testing.T) {
	spec := &karo.AlertReactionSpec{Matchers: []karo.Matcher{{Name: "pod"}, {Name: "labels.env"}, {Name: "annotations.x"}, {Name: "status"}, {Name: "labels"}}}
	expectWarnings(t, "names", matcherNameWarnings(spec),
		`spec.matchers[1].name: "labels.env" is the name of a label; write "env" for the label "env"`,
		`spec.matchers[3].name: "status" is the name of a label, not the field of the alert; for the status there is spec.when`)
}

func TestMatcherWarnings(t *testing.T) {
	const (
		anchored = `spec.matchers[0]: the regular expression has to match the whole value here; write ".*(`
		asBefore = `).*" to match a part of it, as before`
		empty    = ` has the empty value here, which matches; such an alert did not match before`
	)
	for name, tc := range map[string]struct {
		matcher karo.Matcher
		want    []string
	}{
		"a label":                       {matcher: karo.Matcher{Name: "a", Operator: "=", Value: "b"}},
		"an annotation":                 {matcher: karo.Matcher{Name: "annotations.a", Operator: "=", Value: "b"}},
		"a whole expression":            {matcher: karo.Matcher{Name: "a", Operator: "=~", Value: "^b$"}},
		"a whole expression, by stars":  {matcher: karo.Matcher{Name: "a", Operator: "=~", Value: ".*b.*"}},
		"a part":                        {karo.Matcher{Name: "a", Operator: "=~", Value: "b"}, []string{anchored + "b" + asBefore}},
		"a beginning":                   {karo.Matcher{Name: "a", Operator: "=~", Value: "^b"}, []string{anchored + "^b" + asBefore}},
		"one of two":                    {karo.Matcher{Name: "a", Operator: "=~", Value: "^b|c$"}, []string{anchored + "^b|c$" + asBefore}},
		"not a part, which lacks match": {karo.Matcher{Name: "a", Operator: "!~", Value: "b"}, []string{anchored + "b" + asBefore, `spec.matchers[0]: an alert without "a"` + empty}},
		"another value":                 {karo.Matcher{Name: "a", Operator: "!=", Value: "b"}, []string{`spec.matchers[0]: an alert without "a"` + empty}},
		"no value":                      {karo.Matcher{Name: "a", Operator: "=", Value: ""}, []string{`spec.matchers[0]: an alert without "a"` + empty}},
		"some value":                    {matcher: karo.Matcher{Name: "a", Operator: "!=", Value: ""}},
		"any value":                     {karo.Matcher{Name: "a", Operator: "=~", Value: ".*"}, []string{`spec.matchers[0]: an alert without "a"` + empty}},
		"a field of the alert": {
			karo.Matcher{Name: "status", Operator: "=", Value: "firing"},
			[]string{`spec.matchers[0]: "status" is the name of a label here; the field of the alert was meant before`},
		},
		"a label behind a prefix": {
			karo.Matcher{Name: "labels.severity", Operator: "=", Value: "x"},
			[]string{`spec.matchers[0]: "labels.severity" is the name of a label here; the label "severity" was meant before`},
		},
		"no expression": {karo.Matcher{Name: "a", Operator: "=~", Value: "^($"}, nil},
	} {
		expectWarnings(t, name, matcherWarnings(&karo.AlertReactionSpec{Matchers: []karo.Matcher{tc.matcher}}), tc.want...)
	}
}

// Each version has the warnings of its own mistakes, and who changes no spec has none.
func TestWarningsByVersion(t *testing.T) {
	r := &karo.AlertReaction{Spec: karo.AlertReactionSpec{
		Matchers: []karo.Matcher{{Name: "status", Operator: "=", Value: "x"}},
		Actions:  []karo.Action{{Args: []string{"$P"}, Env: []karo.EnvVar{{Name: "P", Expression: "labels.pod"}, {Name: "L", Literal: "label.pod"}}}},
	}}
	arguments, values, matchers := argumentWarnings(&r.Spec), valueWarnings(&r.Spec), matcherWarnings(&r.Spec)
	names := matcherNameWarnings(&r.Spec)
	for version, want := range map[string][]string{"v1": slices.Concat(arguments, values, names), "v1alpha1": slices.Concat(arguments, matchers)} {
		ctx, _ := request(t, version, "create")
		expectWarnings(t, version+" create", strategy{}.WarningsOnCreate(ctx, r), want...)
		expectWarnings(t, version+" update", strategy{}.WarningsOnUpdate(ctx, r, &karo.AlertReaction{}), want...)
		labelled := r.DeepCopy()
		labelled.Labels = map[string]string{"a": "b"}
		expectWarnings(t, version+" of the metadata", strategy{}.WarningsOnUpdate(ctx, labelled, r))
	}
}
