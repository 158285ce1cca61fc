// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package matching decides which reactions answer an alert.
package matching

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
)

const (
	alertNameLabel   = "alertname"
	annotationPrefix = "annotations."
)

var matchTypes = map[karo.MatchOperator]labels.MatchType{
	// It is not filled in when a reaction is stored: what is applied again would differ from what is there.
	"":                  labels.MatchEqual,
	karo.MatchEqual:     labels.MatchEqual,
	karo.MatchNotEqual:  labels.MatchNotEqual,
	karo.MatchRegexp:    labels.MatchRegexp,
	karo.MatchNotRegexp: labels.MatchNotRegexp,
}

// Rules are the compiled conditions of a reaction. They are safe for concurrent use.
type Rules struct {
	matchers []rule
}

type rule struct {
	matcher    *labels.Matcher
	annotation bool
}

// Compile turns the alert name and the matchers of a spec into Rules. The errors carry paths below path.
func Compile(spec *karo.AlertReactionSpec, path *field.Path) (*Rules, field.ErrorList) {
	var errs field.ErrorList
	rules := &Rules{}
	selective := false
	if spec.AlertName != "" {
		selective = true
		m, err := labels.NewMatcher(labels.MatchEqual, alertNameLabel, spec.AlertName)
		if err != nil {
			return nil, append(errs, field.Invalid(path.Child("alertName"), spec.AlertName, err.Error()))
		}
		rules.matchers = append(rules.matchers, rule{matcher: m})
	}
	for i, m := range spec.Matchers {
		compiled, err := compileMatcher(m, path.Child("matchers").Index(i))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		selective = selective || !compiled.matcher.Matches("")
		rules.matchers = append(rules.matchers, *compiled)
	}
	switch {
	case spec.AlertName == "" && len(spec.Matchers) == 0:
		errs = append(errs, field.Required(path.Child("alertName"), "at least one of alertName and matchers is required"))
	case !selective && len(errs) == 0:
		errs = append(errs, field.Invalid(path.Child("matchers"), rules.String(), "without an alertName, at least one matcher must not match the empty string"))
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return rules, nil
}

// MatchesEmpty reports whether a matcher holds for the empty string, and so for an alert that lacks what it is about. One
// that does not compile does not.
func MatchesEmpty(m karo.Matcher) bool {
	compiled, err := compileMatcher(m, nil)
	return err == nil && compiled.matcher.Matches("")
}

func compileMatcher(m karo.Matcher, path *field.Path) (*rule, *field.Error) {
	name, annotation := strings.CutPrefix(m.Name, annotationPrefix)
	if name == "" {
		return nil, field.Required(path.Child("name"), "the name of a label, or of an annotation behind \"annotations.\"")
	}
	if !utf8.ValidString(name) {
		return nil, field.Invalid(path.Child("name"), m.Name, "must be valid UTF-8")
	}
	matchType, ok := matchTypes[m.Operator]
	if !ok {
		return nil, field.NotSupported(path.Child("operator"), m.Operator,
			[]karo.MatchOperator{karo.MatchEqual, karo.MatchNotEqual, karo.MatchRegexp, karo.MatchNotRegexp})
	}
	if matchType == labels.MatchRegexp || matchType == labels.MatchNotRegexp {
		// The matcher's own error would show the anchors that it puts around the expression.
		if _, err := regexp.Compile(m.Value); err != nil {
			return nil, field.Invalid(path.Child("value"), m.Value, fmt.Sprintf("not a regular expression: %v", err))
		}
	}
	matcher, err := labels.NewMatcher(matchType, name, m.Value)
	if err != nil {
		return nil, field.Invalid(path.Child("value"), m.Value, fmt.Sprintf("not a regular expression: %v", err))
	}
	return &rule{matcher: matcher, annotation: annotation}, nil
}

// Match reports whether all conditions hold for an alert. What the alert lacks counts as the empty string.
func (r *Rules) Match(alert *karo.AlertOccurrence) bool {
	for i := range r.matchers {
		if !r.matchers[i].matcher.Matches(r.matchers[i].value(alert)) {
			return false
		}
	}
	return true
}

// Explain says of each condition whether it holds for an alert.
func (r *Rules) Explain(alert *karo.AlertOccurrence) []karo.MatcherResult {
	results := make([]karo.MatcherResult, 0, len(r.matchers))
	for i := range r.matchers {
		value := r.matchers[i].value(alert)
		results = append(results, karo.MatcherResult{
			Matcher: r.matchers[i].String(),
			Value:   value,
			Matches: r.matchers[i].matcher.Matches(value),
		})
	}
	return results
}

// String returns the conditions in Alertmanager's notation.
func (r *Rules) String() string {
	texts := make([]string, 0, len(r.matchers))
	for i := range r.matchers {
		texts = append(texts, r.matchers[i].String())
	}
	return "{" + strings.Join(texts, ",") + "}"
}

func (r *rule) value(alert *karo.AlertOccurrence) string {
	if r.annotation {
		return alert.Annotations[r.matcher.Name]
	}
	return alert.Labels[r.matcher.Name]
}

func (r *rule) String() string {
	if r.annotation {
		return annotationPrefix + r.matcher.String()
	}
	return r.matcher.String()
}
