// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what Karo promises about its speed, on a real control plane: each line as a ratio of two parts
// that are measured in the same run, in rounds that alternate. With -webhook it drives any receiver of Alertmanager's
// webhook instead, so that another system can be put beside Karo.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"karo.io/karo/hack/localcluster"
)

func main() {
	only := flag.String("only", "", "measure only the lines that match this regular expression; there are "+strings.Join(lineNames(), ", "))
	out := flag.String("json", "", "file to write the results to, as JSON")
	rounds := flag.Int("rounds", 3, "rounds of each line; the median counts")
	target := webhook{}
	flag.StringVar(&target.url, "webhook", "", "URL of another receiver of Alertmanager's webhook, to be driven instead of Karo")
	flag.StringVar(&target.tokenFile, "token-file", "", "with -webhook: file of a bearer token")
	flag.StringVar(&target.caFile, "ca-file", "", "with -webhook: file of the certificate authority of the receiver")
	flag.StringVar(&target.alertName, "alertname", "BenchAlert", "with -webhook: name of the alerts")
	flag.IntVar(&target.alerts, "alerts", 4000, "with -webhook: how many alerts to send")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := localcluster.FollowParent()
	switch {
	case err != nil:
	case target.url != "":
		var results []*result
		begin := time.Now()
		if results, err = target.drive(ctx, *rounds); err == nil {
			err = finish(results, *out, begin)
		}
	default:
		err = run(ctx, *only, *rounds, *out)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// result is one line of the report.
type result struct {
	Name string `json:"name"`
	// Value is the median of the rounds.
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Rounds are the values of all rounds.
	Rounds []float64 `json:"rounds,omitempty"`
	// Parts are what was measured for it.
	Parts map[string]string `json:"parts"`
	// Target says what is to be reached; empty for a line that only informs.
	Target string `json:"target,omitempty"`
	Met    *bool  `json:"met,omitempty"`
}

// reach says what a line has to reach.
func (r *result) reach(target string, met bool) *result {
	r.Target, r.Met = target, &met
	return r
}

// line measures one thing, or some that belong together.
type line struct {
	name    string
	measure func(ctx context.Context, b *bench) ([]*result, error)
	// alone is whether the controllers of the cluster are suspended. What they do with thousands of Jobs would take most of
	// a small machine, and it is not what is measured.
	alone bool
}

// lines are all of them. Those that need a young process come first, and those that leave much behind last.
var lines = []line{
	{name: "idle", measure: idleMemory},
	{name: "latency", measure: latency},
	{name: "ingest", measure: ingest, alone: true},
	{name: "storm", measure: storm, alone: true},
	{name: "reactions", measure: manyReactions, alone: true},
	{name: "fairness", measure: fairness, alone: true},
	{name: "notification", measure: largeNotification, alone: true}, // Of a cluster of its own, while this one is idle.
	{name: "crashes", measure: crashes, alone: true},
	{name: "scale", measure: scale, alone: true},
}

func lineNames() (names []string) {
	for _, l := range lines {
		names = append(names, l.name)
	}
	return names
}

func run(ctx context.Context, only string, rounds int, out string) (err error) {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if !slices.ContainsFunc(lines, func(l line) bool { return wanted.MatchString(l.name) }) {
		return fmt.Errorf("-only: no line matches %s; there are %s", only, strings.Join(lineNames(), ", "))
	}
	begin := time.Now()
	b, err := newBench(ctx, rounds)
	if err != nil {
		return err
	}
	defer b.cluster.Stop()
	var results []*result
	defer func() { err = errors.Join(err, finish(results, out, begin)) }()
	for _, l := range lines {
		if !wanted.MatchString(l.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s  measuring %s\n", time.Since(begin).Round(time.Second), l.name)
		if l.alone {
			if err := b.suspendControllers(); err != nil {
				return err
			}
		}
		measured, err := l.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		results = append(results, measured...)
	}
	return nil
}

// finish reports what was measured, and is an error when a target is missed.
func finish(results []*result, out string, begin time.Time) error {
	report(os.Stdout, results)
	fmt.Printf("\nmeasured in %s on %d cores\n", time.Since(begin).Round(time.Second), runtime.NumCPU())
	if out != "" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(out, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	missed := 0
	for _, r := range results {
		if r.Met != nil && !*r.Met {
			missed++
		}
	}
	switch {
	case len(results) == 0:
		return errors.New("nothing was measured")
	case missed > 0:
		return fmt.Errorf("%d targets were missed", missed)
	}
	return nil
}

func report(out io.Writer, results []*result) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nLINE\tVALUE\tTARGET\tMET\tROUNDS")
	for _, r := range results {
		met := ""
		if r.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*r.Met]
		}
		fmt.Fprintf(table, "%s\t%.3g %s\t%s\t%s\t%.3g\n", r.Name, r.Value, r.Unit, r.Target, met, r.Rounds)
	}
	_ = table.Flush()
	fmt.Fprintln(out)
	for _, r := range results {
		for _, part := range sortedKeys(r.Parts) {
			fmt.Fprintf(out, "%s: %s: %s\n", r.Name, part, r.Parts[part])
		}
	}
}
