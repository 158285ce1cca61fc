// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command expand does with the variables and the arguments of a container what a kubelet does before it runs the
// container, by the kubelet's own code. It reads the container as JSON, and the values of the variables that come from
// elsewhere, and prints what the program would be given.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

func main() {
	var in struct {
		Container struct {
			Command, Args []string
			Env           []struct {
				Name, Value string
				ValueFrom   any
			}
		}
		// From holds the values of the variables that have a source, by name.
		From map[string]string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, "reading the container:", err)
		os.Exit(1)
	}
	env := map[string]string{}
	mapping := expansion.MappingFuncFor(env)
	// A variable may name those before it.
	for _, v := range in.Container.Env {
		if v.ValueFrom != nil {
			env[v.Name] = in.From[v.Name]
			continue
		}
		env[v.Name] = expansion.Expand(v.Value, mapping)
	}
	out := struct {
		Env  map[string]string
		Args []string
	}{Env: env}
	for _, word := range append(in.Container.Command, in.Container.Args...) {
		out.Args = append(out.Args, expansion.Expand(word, mapping))
	}
	if err := json.NewEncoder(os.Stdout).Encode(&out); err != nil {
		fmt.Fprintln(os.Stderr, "writing what the program is given:", err)
		os.Exit(1)
	}
}
