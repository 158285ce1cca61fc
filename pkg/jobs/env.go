// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
)

// The variables that every container has.
const (
	variableAlert     = "KARO_ALERT"
	variableAlertName = "KARO_ALERT_NAME"
	variableStatus    = "KARO_STATUS"
	variableReaction  = "KARO_REACTION"
	variableExecution = "KARO_EXECUTION"
)

const (
	// maxVariable is the length in bytes above which the alert is split over several variables: Linux takes 128 KiB for
	// one variable with its name.
	maxVariable = 100 << 10
	// maxValue is the length in bytes of the longest value that a program can be given.
	maxValue = 127 << 10
)

// environment returns the variables of the container of an action: those of the alert, and those that it declares.
func environment(e *karo.Execution, action *karo.Action) ([]corev1.EnvVar, error) {
	declared := make([]corev1.EnvVar, 0, len(action.Env))
	for i := range action.Env {
		v, err := variable(&e.Spec.Alert, &action.Env[i])
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", action.Env[i].Name, err)
		}
		declared = append(declared, v)
	}
	alert, err := alertVariables(e)
	if err != nil {
		return nil, err
	}
	return slices.Concat(without(alert, declared), declared), nil
}

// without returns the variables that are not declared as well.
func without(variables, declared []corev1.EnvVar) []corev1.EnvVar {
	return slices.DeleteFunc(slices.Clone(variables), func(v corev1.EnvVar) bool {
		return slices.ContainsFunc(declared, func(d corev1.EnvVar) bool { return d.Name == v.Name })
	})
}

// alertVariables returns what every container is told of the alert.
func alertVariables(e *karo.Execution) ([]corev1.EnvVar, error) {
	whole, err := Field(&e.Spec.Alert, ".")
	if err != nil {
		return nil, err
	}
	whole = printable(whole)
	var env []corev1.EnvVar
	if len(whole) <= maxVariable {
		env = append(env, corev1.EnvVar{Name: variableAlert, Value: data(whole)})
	} else {
		for i, part := range split(whole) {
			env = append(env, corev1.EnvVar{Name: variableAlert + "_" + strconv.Itoa(i), Value: data(part)})
		}
	}
	return append(env,
		corev1.EnvVar{Name: variableAlertName, Value: data(split(printable(e.Spec.Alert.Name))[0])},
		corev1.EnvVar{Name: variableStatus, Value: data(string(e.Spec.Alert.Status))},
		corev1.EnvVar{Name: variableReaction, Value: data(e.Spec.Reaction.Name)},
		corev1.EnvVar{Name: variableExecution, Value: data(e.Name)},
	), nil
}

// split cuts a text into parts that fit a variable each, between characters.
func split(text string) []string {
	var parts []string
	for len(text) > maxVariable {
		end := maxVariable
		for !utf8.RuneStart(text[end]) {
			end--
		}
		parts, text = append(parts, text[:end]), text[end:]
	}
	return append(parts, text)
}

func variable(alert *karo.AlertOccurrence, in *karo.EnvVar) (corev1.EnvVar, error) {
	out := corev1.EnvVar{Name: in.Name, Value: in.Literal}
	source := in.ValueFrom
	switch {
	case in.Literal != "":
		return out, nil
	case in.Expression != "":
		source = &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: in.Expression}}
	case source == nil:
		return out, nil
	}
	switch {
	case source.AlertRef != nil:
		value, err := Field(alert, source.AlertRef.FieldPath)
		if value = printable(value); len(value) > maxValue {
			return out, fmt.Errorf("%s of the alert has %d bytes, and a program can be given %d", source.AlertRef.FieldPath, len(value), maxValue)
		}
		out.Value = data(value)
		return out, err
	case source.ConfigMapKeyRef != nil:
		out.ValueFrom = &corev1.EnvVarSource{ConfigMapKeyRef: source.ConfigMapKeyRef}
	case source.SecretKeyRef != nil:
		out.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: source.SecretKeyRef}
	case source.FieldRef != nil:
		out.ValueFrom = &corev1.EnvVarSource{FieldRef: source.FieldRef}
	case source.ResourceFieldRef != nil:
		out.ValueFrom = &corev1.EnvVarSource{ResourceFieldRef: source.ResourceFieldRef}
	}
	return out, nil
}

// data makes a text of the alert safe as the value of a variable. The kubelet expands $(NAME) in values, so that a
// label $(PASSWORD) would carry a secret to wherever the action sends its labels. Doubling only the $ in front of a
// parenthesis would not do: $$(NAME) would become $(NAME) again.
func data(s string) string {
	return strings.ReplaceAll(printable(s), "$", "$$")
}

// printable drops what no variable can hold.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, string(utf8.RuneError)), "\x00", string(utf8.RuneError))
}

// wholeAlert is the alert as JSON, in Alertmanager's words.
type wholeAlert struct {
	Status       karo.AlertStatus  `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     *nanotime.Time    `json:"startsAt,omitempty"`
	EndsAt       *nanotime.Time    `json:"endsAt,omitempty"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	Fingerprint  string            `json:"fingerprint,omitempty"`
}

func asJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// Field returns the part of an alert that a field path names. A label or annotation that the alert lacks is empty.
func Field(alert *karo.AlertOccurrence, path string) (string, error) {
	if name, ok := strings.CutPrefix(path, "labels."); ok && name != "" {
		return alert.Labels[name], nil
	}
	if name, ok := strings.CutPrefix(path, "annotations."); ok && name != "" {
		return alert.Annotations[name], nil
	}
	switch path {
	case ".", "":
		return asJSON(wholeAlert{
			Status: alert.Status, Labels: orEmpty(alert.Labels), Annotations: orEmpty(alert.Annotations),
			StartsAt: alert.StartsAt, EndsAt: alert.EndsAt,
			GeneratorURL: alert.GeneratorURL, Fingerprint: alert.Fingerprint,
		})
	case "labels":
		return asJSON(orEmpty(alert.Labels))
	case "annotations":
		return asJSON(orEmpty(alert.Annotations))
	case "status":
		return string(alert.Status), nil
	case "startsAt":
		return instant(alert.StartsAt), nil
	case "endsAt":
		return instant(alert.EndsAt), nil
	case "generatorURL":
		return alert.GeneratorURL, nil
	case "fingerprint":
		return alert.Fingerprint, nil
	}
	return "", fmt.Errorf("%q is no field of an alert: must be \".\", \"status\", \"startsAt\", \"endsAt\", \"generatorURL\", \"fingerprint\", \"labels.<name>\", \"annotations.<name>\", \"labels\" or \"annotations\"", path)
}

func instant(t *nanotime.Time) string {
	if t == nil {
		return ""
	}
	return t.String()
}
