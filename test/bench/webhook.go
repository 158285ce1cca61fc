// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
)

// webhook is any receiver of Alertmanager's webhook.
type webhook struct {
	url, tokenFile, caFile, alertName string
	alerts                            int
}

// drive sends alerts as to Karo, and returns how fast they are acknowledged.
func (w webhook) drive(ctx context.Context, rounds int) ([]*result, error) {
	if w.alerts < groupSize || w.alerts%groupSize > 0 {
		return nil, fmt.Errorf("-alerts must be a multiple of %d", groupSize)
	}
	client, err := rest.HTTPClientFor(&rest.Config{Host: w.url, BearerTokenFile: w.tokenFile, TLSClientConfig: rest.TLSClientConfig{CAFile: w.caFile}})
	if err != nil {
		return nil, err
	}
	var rates []float64
	var took []time.Duration
	for range rounds {
		begin := time.Now()
		each, err := sendGroups(ctx, client, w.url, w.alertName, w.alerts)
		if err != nil {
			return nil, err
		}
		rates, took = append(rates, perSecond(w.alerts, time.Since(begin))), append(took, each...)
	}
	return []*result{{Name: "alerts acknowledged per second, groups of 50", Value: median(rates), Rounds: rates, Parts: map[string]string{
		"notification acknowledged, p50 (p99)": p50(took),
	}}}, nil
}
