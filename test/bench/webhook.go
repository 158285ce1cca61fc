// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// webhook is any receiver of Alertmanager's webhook.
type webhook struct {
	url, tokenFile, caFile, alertName string
	alerts                            int
}

// drive sends alerts as to Karo, and says how fast they are acknowledged.
func (w webhook) drive(ctx context.Context, out io.Writer) error {
	client := http.DefaultClient
	if w.tokenFile != "" || w.caFile != "" {
		var err error
		client, err = rest.HTTPClientFor(&rest.Config{Host: w.url, BearerTokenFile: w.tokenFile, TLSClientConfig: rest.TLSClientConfig{CAFile: w.caFile}})
		if err != nil {
			return err
		}
	}
	begin := time.Now()
	took, err := sendGroups(ctx, client, w.url, w.alertName, w.alerts)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d alerts acknowledged in groups of %d, %d at a time: %.0f /s; each notification p50 (p99) %s\n",
		len(took)*groupSize, groupSize, senders, perSecond(len(took)*groupSize, time.Since(begin)), p50(took))
	return nil
}
