// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command validate says of Jobs what a cluster says of them when they are created, by the cluster's own code. It reads
// the Jobs as JSON, one after the other, and prints for each the errors, as a JSON array of texts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install" // The defaults are those of the registered versions.
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/registry/batch/job"
)

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for i := 0; ; i++ {
		var text json.RawMessage
		err := in.Decode(&text)
		if errors.Is(err, io.EOF) {
			return
		}
		var problems []string
		if err == nil {
			problems, err = validate(text)
		}
		if err == nil {
			err = out.Encode(problems)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "job %d: %v\n", i, err)
			os.Exit(1)
		}
	}
}

func validate(text []byte) ([]string, error) {
	obj, _, err := legacyscheme.Codecs.UniversalDecoder().Decode(text, nil, nil)
	if err != nil {
		return nil, err
	}
	j, ok := obj.(*batch.Job)
	if !ok {
		return nil, fmt.Errorf("it is a %T", obj)
	}
	// The cluster labels the pods with it, and so has given it before it looks at the Job.
	j.UID = "00000000-0000-0000-0000-000000000000"
	job.Strategy.PrepareForCreate(context.Background(), j)
	problems := []string{}
	for _, err := range job.Strategy.Validate(context.Background(), j) {
		problems = append(problems, err.Error())
	}
	return problems, nil
}
