// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"karo.io/karo/pkg/apis/karo"
)

// shells are the programs whose script, behind an option -c, is theirs to expand.
var shells = []string{"ash", "bash", "dash", "ksh", "sh", "zsh"}

var scriptOption = regexp.MustCompile(`^-[A-Za-z]*c$`)

// arguments returns the command and the args of an action as the Job has them. The kubelet gives $(NAME), and nothing
// else, the value of a variable; an argument that is $NAME or ${NAME} as a whole is written that way for it.
func arguments(action *karo.Action, env []corev1.EnvVar) (command, args []string) {
	rendered := slices.Concat(action.Command, action.Args)
	for i, word := range rendered {
		name, ok := reference(word)
		if !ok || isScript(rendered, i) || !slices.ContainsFunc(env, func(v corev1.EnvVar) bool { return v.Name == name }) {
			continue
		}
		rendered[i] = "$(" + name + ")"
	}
	// What is not given stays so: the image has its own.
	if action.Command != nil {
		command = rendered[:len(action.Command):len(action.Command)]
	}
	if action.Args != nil {
		args = rendered[len(action.Command):]
	}
	return command, args
}

// reference returns the name in an argument that is $NAME or ${NAME} as a whole.
func reference(word string) (name string, ok bool) {
	name, ok = strings.CutPrefix(word, "$")
	if braced, closed := strings.CutSuffix(name, "}"); closed && strings.HasPrefix(braced, "{") {
		name = braced[1:]
	}
	return name, ok && name != "" && !strings.ContainsAny(name, "${}()")
}

// isScript reports whether an argument is the script of a shell.
func isScript(words []string, i int) bool {
	return i > 0 && scriptOption.MatchString(words[i-1]) && slices.ContainsFunc(words[:i-1], func(word string) bool {
		return slices.Contains(shells, path.Base(word))
	})
}

// Unguarded is an argument that is a text of the alert as a whole, with no "--" before it.
type Unguarded struct {
	// Field is the path of the argument below that of the action.
	Field string
	// Variable is the name of the variable that the argument is.
	Variable string
}

// UnguardedArguments returns the arguments of an action that a program may take for an option, since their whole text
// is that of an alert and nothing before says that the options have ended.
func UnguardedArguments(action *karo.Action) []Unguarded {
	if action.JobTemplate == nil {
		return unguarded(action.Command, action.Args, "", reference, func(name string) bool { return isAlertText(action, name) })
	}
	var found []Unguarded
	pod := &action.JobTemplate.Spec.Template.Spec
	for _, in := range []struct {
		field      string
		containers []corev1.Container
	}{{"initContainers", pod.InitContainers}, {"containers", pod.Containers}} {
		for i := range in.containers {
			c := &in.containers[i]
			path := fmt.Sprintf("jobTemplate.spec.template.spec.%s[%d].", in.field, i)
			// A template is left as it is, so that only what the kubelet knows is a reference.
			none := func(string) (string, bool) { return "", false }
			found = append(found, unguarded(c.Command, c.Args, path, none, func(name string) bool {
				declared := slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name })
				return !declared && (name == variableAlert || name == variableAlertName)
			})...)
		}
	}
	return found
}

func unguarded(command, args []string, path string, reference func(word string) (name string, ok bool), isAlertText func(name string) bool) []Unguarded {
	var found []Unguarded
	words := slices.Concat(command, args)
	for i, word := range words {
		if word == "--" {
			break
		}
		name, ok := reference(word)
		if inner, closed := strings.CutSuffix(word, ")"); closed && strings.HasPrefix(inner, "$(") {
			name, ok = inner[2:], true
		}
		if !ok || isScript(words, i) || !isAlertText(name) {
			continue
		}
		found = append(found, Unguarded{Field: path + argumentPath(command, i), Variable: name})
	}
	return found
}

// karoVariable matches the names of the variables that every container has.
var karoVariable = regexp.MustCompile(`^(` + strings.Join([]string{variableAlert + `(_\d+)?`, variableAlertName, variableStatus, variableReaction, variableExecution}, "|") + `)$`)

// UnknownReferences returns the paths, below that of the action, of the arguments that look as if they were to be given the
// value of a variable that the action does not have. The program gets them as they are.
func UnknownReferences(action *karo.Action) []string {
	var found []string
	words := slices.Concat(action.Command, action.Args)
	for i, word := range words {
		name, ok := reference(word)
		known := karoVariable.MatchString(name) || slices.ContainsFunc(action.Env, func(v karo.EnvVar) bool { return v.Name == name })
		if ok && !known && !isScript(words, i) && len(validation.IsCIdentifier(name)) == 0 {
			found = append(found, argumentPath(action.Command, i))
		}
	}
	return found
}

// argumentPath returns the path of a word of a command and its arguments.
func argumentPath(command []string, i int) string {
	if i >= len(command) {
		return fmt.Sprintf("args[%d]", i-len(command))
	}
	return fmt.Sprintf("command[%d]", i)
}

// isAlertText reports whether a variable holds a text that whoever writes the alert chooses.
func isAlertText(action *karo.Action, name string) bool {
	for i := range action.Env {
		if v := &action.Env[i]; v.Name == name {
			return v.Expression != "" || v.Literal == "" && v.ValueFrom != nil && v.ValueFrom.AlertRef != nil
		}
	}
	return name == variableAlert || name == variableAlertName
}
