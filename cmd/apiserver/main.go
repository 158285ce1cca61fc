// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command karo-apiserver serves the karo.io API group to a cluster and executes what its notifications trigger.
package main

import (
	"os"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"

	"karo.io/karo/cmd/apiserver/options"
)

func main() {
	ctx := genericapiserver.SetupSignalContext()
	command := options.NewCommand()
	command.SetContext(ctx)
	os.Exit(cli.Run(command))
}
