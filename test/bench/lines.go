// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// replacedPerCreate is how many alerts the operator that Karo replaces acknowledges, in groups of 50 and without storing
// them, for each raw Job create: it creates the Jobs before it answers. Where it was measured it was 280 to 313 of 883 to
// 1,080 a second. -webhook measures it here.
const replacedPerCreate = 0.3

// idleMemory is what the process needs that has nothing to do.
func idleMemory(_ context.Context, b *bench) ([]*result, error) {
	rss, err := b.memory("VmRSS")
	if err != nil {
		return nil, err
	}
	r := &result{Name: "RSS, idle, with embedded etcd", Value: rss, Unit: "MiB"}
	return []*result{r.reach("<= 128", rss <= 128)}, nil
}

// latency is the time from a notification to its Job when there is nothing else to do, beside the two writes that are in
// it at least.
func latency(ctx context.Context, b *bench) ([]*result, error) {
	const n, silent, silence = 10, 4, 5 * time.Second // After so long it has to be proven again that the caches are fresh.
	namespace, counter, err := b.newRound(ctx, n)
	if err != nil {
		return nil, err
	}
	defer counter.stop()
	quiet := func() error { return b.settle(ctx) }
	var ratios []float64
	var aggregated, creates, acks, whole []time.Duration
	for round := range b.rounds {
		// What is created is an Execution, by hand, which is the same object. Its Job is waited for in between.
		var byHand []time.Duration
		for range n {
			took, err := timed(1, quiet, func(int) error {
				return b.client.KaroV1().RESTClient().Post().Namespace(namespace).Resource("alertreactions").Name("react").SubResource("executions").
					Body([]byte(`{"apiVersion":"karo.io/v1","kind":"ExecutionRequest","labels":{"alertname":"BenchAlert"}}`)).Do(ctx).Error()
			})
			if err == nil {
				err = counter.await(ctx, 1)
			}
			if err != nil {
				return nil, err
			}
			byHand = append(byHand, took...)
		}
		made, err := newJobs(namespace, round*n, n)
		if err != nil {
			return nil, err
		}
		raw, err := timed(n, quiet, func(i int) error {
			_, err := b.cluster.Client.BatchV1().Jobs(namespace).Create(ctx, made[i], metav1.CreateOptions{})
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := counter.await(ctx, n); err != nil {
			return nil, err
		}
		toJob, err := timed(n, quiet, func(i int) error {
			begin := time.Now()
			if _, err := post(ctx, b.sender, b.triggerURL(namespace), bodyOf(newAlerts(alertName, round*n+i, 1))); err != nil {
				return err
			}
			acks = append(acks, time.Since(begin))
			return counter.await(ctx, 1)
		})
		if err != nil {
			return nil, err
		}
		ratios = append(ratios, float64(quantile(toJob, 0.5))/float64(quantile(byHand, 0.5)+quantile(raw, 0.5)))
		aggregated, creates, whole = append(aggregated, byHand...), append(creates, raw...), append(whole, toJob...)
	}
	afterSilence := make([]time.Duration, silent)
	for i := range silent {
		pause(ctx, silence)
		one, err := timed(1, quiet, func(int) error {
			if _, err := post(ctx, b.sender, b.triggerURL(namespace), bodyOf(newAlerts(alertName, b.rounds*n+i, 1))); err != nil {
				return err
			}
			return counter.await(ctx, 1)
		})
		if err != nil {
			return nil, err
		}
		afterSilence[i] = one[0]
	}
	r := &result{Name: "alert to Job, idle / (aggregated create + Job create)", Value: median(ratios), Rounds: ratios, Parts: map[string]string{
		"alert to Job, seen by a watch, p50 (p99)":              p50(whole),
		"the same after 5 s of silence, p50 of 4":               millis(quantile(afterSilence, 0.5)),
		"alert acknowledged, p50 (p99)":                         p50(acks),
		"aggregated create, of an Execution by hand, p50 (p99)": p50(aggregated),
		"Job create, p50 (p99)":                                 p50(creates),
	}}
	return []*result{r.reach("<= 1.2", r.Value <= 1.2)}, nil
}

// timed does something n times, each after something that is not timed, and returns how long each took.
func timed(n int, first func() error, do func(i int) error) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	for i := range n {
		if err := first(); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := do(i); err != nil {
			return nil, err
		}
		took[i] = time.Since(begin)
	}
	return took, nil
}

// ingest is how fast alerts are stored, and what the memory of the process is afterwards.
func ingest(ctx context.Context, b *bench) ([]*result, error) {
	const alerts = 4000
	var rates, raw, ratios []float64
	var took []time.Duration
	memory := &result{Name: "RSS after 4,000 alerts and their Jobs, idle again", Unit: "MiB", Parts: map[string]string{}}
	for round := range b.rounds {
		namespace, counter, err := b.newRound(ctx, alerts)
		if err != nil {
			return nil, err
		}
		if err := b.settle(ctx); err != nil {
			return nil, err
		}
		begin := time.Now()
		each, err := sendGroups(ctx, b.sender, b.triggerURL(namespace), alertName, alerts)
		if err != nil {
			return nil, err
		}
		rate := perSecond(alerts, time.Since(begin))
		rates, took = append(rates, rate), append(took, each...)
		if err := counter.await(ctx, alerts); err != nil {
			return nil, err
		}
		counter.stop()
		if round == 0 {
			for _, when := range []string{"at once", "after 30 s"} {
				anonymous, err := b.memory("RssAnon")
				if err != nil {
					return nil, err
				}
				if memory.Value, err = b.memory("VmRSS"); err != nil {
					return nil, err
				}
				memory.Parts[when+", of it anonymous"] = list([]float64{memory.Value, anonymous}, "MiB")
				if when == "at once" {
					pause(ctx, 30*time.Second)
				}
			}
		}
		if err := b.settle(ctx); err != nil {
			return nil, err
		}
		creates, _, err := b.rawJobs(ctx, 1000)
		if err != nil {
			return nil, err
		}
		raw, ratios = append(raw, creates), append(ratios, rate/(replacedPerCreate*creates))
	}
	r := &result{Name: "alerts acknowledged per second, groups of 50 / (0.3 * raw Job creates), as the operator before did", Value: median(ratios), Rounds: ratios, Parts: map[string]string{
		"alerts per second":                    list(rates, "/s"),
		"raw Job creates per second":           list(raw, "/s"),
		"notification acknowledged, p50 (p99)": p50(took),
		"notification acknowledged, the last":  millis(quantile(took, 1)),
	}}
	return []*result{r.reach(">= 10", r.Value >= 10), memory.reach("<= 256", memory.Value <= 256)}, nil
}

// storm is how fast Jobs are created for a storm of alerts, beside how fast the same Jobs are without Karo.
func storm(ctx context.Context, b *bench) ([]*result, error) {
	const alerts = 1000
	var raw, through, ratios []float64
	var cpuThrough, cpuRaw string
	for range b.rounds {
		namespace, counter, err := b.newRound(ctx, alerts+1)
		if err != nil {
			return nil, err
		}
		if err := b.settle(ctx); err != nil {
			return nil, err
		}
		before, err := b.cpu()
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if _, err := sendGroups(ctx, b.sender, b.triggerURL(namespace), alertName, alerts); err != nil {
			return nil, err
		}
		if err := counter.await(ctx, alerts); err != nil {
			return nil, err
		}
		if cpuThrough, err = b.cpuEach(before, alerts); err != nil {
			return nil, err
		}
		through = append(through, perSecond(alerts, time.Since(begin)))
		counter.stop()

		if err := b.settle(ctx); err != nil {
			return nil, err
		}
		if before, err = b.cpu(); err != nil {
			return nil, err
		}
		_, rate, err := b.rawJobs(ctx, alerts)
		if err != nil {
			return nil, err
		}
		if cpuRaw, err = b.cpuEach(before, alerts); err != nil {
			return nil, err
		}
		raw = append(raw, rate)
		ratios = append(ratios, through[len(through)-1]/rate)
	}
	r := &result{Name: "Jobs per second in a storm / raw Job creates per second", Value: median(ratios), Rounds: ratios, Parts: map[string]string{
		"Jobs per second in a storm, from the first notification to the last Job": list(through, "/s"),
		"raw Job creates per second, seen by a watch too":                         list(raw, "/s"),
		"processor time for each Job in a storm, last round":                      cpuThrough,
		"processor time for each raw Job, last round":                             cpuRaw,
	}}
	return []*result{r.reach(">= 0.75", r.Value >= 0.75)}, nil
}

// rawJobs creates Jobs like those of the reaction with a client of the bench, as many at a time as Karo does, and
// watches them come, as it does those of Karo. It returns how many are created in a second, and how many are seen.
func (b *bench) rawJobs(ctx context.Context, n int) (created, seen float64, err error) {
	const workers = 32
	namespace, err := b.newNamespace(ctx)
	if err != nil {
		return 0, 0, err
	}
	config := rest.CopyConfig(b.cluster.Config)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, 0, err
	}
	made, err := newJobs(namespace, 0, n)
	if err != nil {
		return 0, 0, err
	}
	counter, err := b.countJobs(ctx, namespace, n)
	if err != nil {
		return 0, 0, err
	}
	defer counter.stop()
	begin := time.Now()
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, job := range made {
		group.Go(func() error {
			_, err := client.BatchV1().Jobs(namespace).Create(creating, job, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	created = perSecond(n, time.Since(begin))
	if err := counter.await(ctx, n); err != nil {
		return 0, 0, err
	}
	return created, perSecond(n, time.Since(begin)), nil
}
