// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// manyReactions is how fast alerts are stored in a namespace that has 10,000 more reactions, which do not answer them,
// beside how fast they are when there are none.
func manyReactions(ctx context.Context, b *bench) ([]*result, error) {
	const alerts, reactions = 2000, 10_000
	rates := map[bool][]float64{} // by whether there are others
	remove := func() error { return nil }
	measure := func(others bool) error {
		namespace, err := b.newNamespace(ctx)
		if err != nil {
			return err
		}
		if others {
			if remove, err = b.addReactions(ctx, namespace, reactions); err != nil {
				return err
			}
		}
		counter, err := b.countJobs(ctx, namespace, alerts)
		if err != nil {
			return err
		}
		defer counter.stop()
		if err := b.settle(ctx); err != nil {
			return err
		}
		begin := time.Now()
		if _, err := sendGroups(ctx, b.sender, b.triggerURL(namespace), alertName, alerts); err != nil {
			return err
		}
		rates[others] = append(rates[others], perSecond(alerts, time.Since(begin)))
		if err := counter.await(ctx, alerts); err != nil { // Before the next one begins.
			return err
		}
		if !others {
			return nil
		}
		return remove()
	}
	var ratios []float64
	for round := range b.rounds {
		for _, others := range []bool{round%2 > 0, round%2 == 0} {
			if err := measure(others); err != nil {
				return nil, err
			}
		}
		ratios = append(ratios, rates[true][round]/rates[false][round])
	}
	r := &result{Name: "alerts per second with 10,000 other reactions / with none", Value: median(ratios), Rounds: ratios, Parts: map[string]string{
		"alerts per second with 10,000 other reactions": list(rates[true], "/s"),
		"alerts per second with none":                   list(rates[false], "/s"),
	}}
	return []*result{r.reach(">= 0.95", r.Value >= 0.95)}, nil
}

// otherReaction returns a reaction that does not answer the alerts of the bench. Most name their alert, as most do; the
// others tell by labels, some of them by regular expressions.
func otherReaction(i int) *v1.AlertReaction {
	reaction := newReaction(fmt.Sprintf("other-%05d", i))
	reaction.Spec.AlertName = fmt.Sprintf("Other%d", i)
	switch {
	case i%100 == 0:
		reaction.Spec.Matchers = []v1.Matcher{{Name: "alertname", Operator: "=~", Value: fmt.Sprintf("Other%d.*", i)}, {Name: "severity", Operator: "=~", Value: "warning|critical"}}
		reaction.Spec.AlertName = ""
	case i%10 == 0:
		reaction.Spec.Matchers = []v1.Matcher{{Name: "team", Operator: "=", Value: fmt.Sprintf("team-%d", i)}, {Name: "severity", Operator: "!=", Value: "none"}}
		reaction.Spec.AlertName = ""
	case i%2 == 0:
		reaction.Spec.Matchers = []v1.Matcher{{Name: "severity", Operator: "=~", Value: "warning|critical"}}
	}
	return reaction
}

// largeNotification is one notification of 20,000 alerts, to a server that has no others and is told of a memory limit as
// the documentation says.
func largeNotification(ctx context.Context, b *bench) ([]*result, error) {
	const alerts, limit = 20_000, 512
	b, err := newBench(ctx, b.rounds)
	if err != nil {
		return nil, err
	}
	defer b.cluster.Stop()
	if err := b.suspendControllers(); err != nil {
		return nil, err
	}
	if err := b.karo.Process().Stop(); err != nil {
		return nil, err
	}
	memLimit := fmt.Sprintf("GOMEMLIMIT=%dMiB", limit*9/10)
	b.karo.SetEnv(memLimit)
	if err := b.karo.Start(ctx); err != nil {
		return nil, err
	}
	if err := b.karo.Available(ctx); err != nil {
		return nil, err
	}
	namespace, counter, err := b.newRound(ctx, alerts)
	if err != nil {
		return nil, err
	}
	defer counter.stop()
	body := bodyOf(newAlerts(alertName, 0, alerts))
	watched, unwatch := context.WithCancel(ctx)
	defer unwatch()
	peak := 0.0
	var watching errgroup.Group
	watching.Go(func() error {
		for watched.Err() == nil {
			rss, err := b.memory("RssAnon")
			if err != nil {
				return err
			}
			peak = max(peak, rss)
			pause(watched, 20*time.Millisecond)
		}
		return nil
	})
	begin := time.Now()
	var again atomic.Int64
	err = b.sendUntilTaken(ctx, namespace, body, &again)
	took := time.Since(begin).Seconds()
	if err == nil {
		err = counter.await(ctx, alerts)
	}
	if err == nil {
		err = b.settle(ctx) // Then the 20,000 Alerts are written.
	}
	unwatch()
	if err := errors.Join(err, watching.Wait()); err != nil {
		return nil, err
	}
	stored := &result{Name: "one notification of 20,000 alerts stored", Value: took, Unit: "s", Parts: map[string]string{
		"size":                       fmt.Sprintf("%.1f MB", float64(len(body))/1e6),
		"answered 503, and repeated": fmt.Sprint(again.Load()),
	}}
	memory := &result{Name: "anonymous RSS until all of it was written, at most, with " + memLimit, Value: peak, Unit: "MiB"}
	return []*result{stored.reach("< 5 s", took < 5), memory.reach(fmt.Sprintf("< %d MiB", limit), peak < limit)}, nil
}

// fairness is how long a sender of one alert waits while another sends as much as it can.
func fairness(ctx context.Context, b *bench) ([]*result, error) {
	const quiet, noisy = 40, 32
	namespace, err := b.newNamespace(ctx)
	if err != nil {
		return nil, err
	}
	other, err := b.newSender(ctx, "noisy")
	if err != nil {
		return nil, err
	}
	sent := 0
	atOnce := func() error { return nil } // One comes right after the other.
	one := func(int) error {
		sent++
		_, err := post(ctx, b.sender, b.triggerURL(namespace), bodyOf(newAlerts(alertName, -sent, 1)))
		return err
	}
	alone, err := timed(quiet, atOnce, one)
	if err != nil {
		return nil, err
	}
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	var flood errgroup.Group
	var number, taken atomic.Int64
	for range noisy {
		flood.Go(func() error {
			for flooding.Err() == nil {
				n := int(number.Add(groupSize))
				status, err := post(flooding, other, b.triggerURL(namespace), bodyOf(newAlerts(alertName, n, groupSize)))
				if err == nil {
					taken.Add(groupSize)
				} else if flooding.Err() == nil && status < http.StatusInternalServerError {
					return err
				}
			}
			return nil
		})
	}
	beside, err := timed(quiet, atOnce, one)
	stop()
	if err := errors.Join(err, flood.Wait()); err != nil {
		return nil, err
	}
	p99 := quantile(beside, 0.99).Seconds()
	r := &result{Name: "one alert beside 32 notifications of 50 at a time, p99", Value: p99, Unit: "s", Parts: map[string]string{
		"alone, p50 (p99)":  p50(alone),
		"beside, p50 (p99)": p50(beside),
		"alerts of the other one acknowledged meanwhile": fmt.Sprint(taken.Load()),
	}}
	return []*result{r.reach("< 5 s", p99 < 5)}, nil
}

// crashes is whether each of 10,000 alerts runs once when each is sent twice and Karo is killed again and again.
func crashes(ctx context.Context, b *bench) ([]*result, error) {
	const alerts, copies, minKills = 10_000, 2, 5
	namespace, err := b.newNamespace(ctx)
	if err != nil {
		return nil, err
	}
	bodies := make([][]byte, alerts/groupSize)
	for i := range bodies {
		bodies[i] = bodyOf(newAlerts(alertName, i*groupSize, groupSize))
	}
	var refused, kills, lastKill atomic.Int64
	send := func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(4)
		for _, body := range bodies {
			group.Go(func() error { return b.sendUntilTaken(ctx, namespace, body, &refused) })
		}
		return group.Wait()
	}
	sending, sent := context.WithCancel(ctx)
	defer sent()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for kills.Load() < minKills || sending.Err() == nil {
			pause(groupCtx, time.Duration(500+rand.IntN(2500))*time.Millisecond)
			if groupCtx.Err() != nil {
				return groupCtx.Err()
			}
			lastKill.Store(time.Now().UnixNano())
			b.karo.Process().Kill()
			kills.Add(1)
			if err := b.karo.Start(groupCtx); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		defer sent()
		senders, ctx := errgroup.WithContext(groupCtx)
		for range copies {
			senders.Go(func() error { return send(ctx) })
		}
		return senders.Wait()
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := b.karo.Available(ctx); err != nil {
		return nil, err
	}
	worked, giveUp := context.WithTimeout(ctx, 3*time.Minute)
	defer giveUp()
	err = b.cluster.Until(worked, "every execution to have its Job", func(ctx context.Context) error {
		list, err := b.client.KaroV1().Executions(namespace).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Pending", Limit: 1})
		if err == nil && len(list.Items) > 0 {
			err = errors.New("some are pending")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	recovered := time.Since(time.Unix(0, lastKill.Load()))
	// What has run is known, whatever was killed.
	if err := send(ctx); err != nil {
		return nil, err
	}
	list, err := b.cluster.Client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	of := map[string]bool{}
	for i := range list.Items {
		of[list.Items[i].Annotations["karo.io/fingerprint"]] = true
	}
	lost, doubled := alerts-len(of), len(list.Items)-len(of)
	lostLine := &result{Name: "of 10,000 alerts, each sent twice while one replica is killed: lost", Value: float64(lost), Parts: map[string]string{
		"kills": fmt.Sprint(kills.Load()), "Jobs": fmt.Sprint(len(list.Items)),
		"sends answered by 503, or not at all, and repeated":   fmt.Sprint(refused.Load()),
		"from the last kill until every Execution had its Job": recovered.Round(100 * time.Millisecond).String(),
	}}
	doubledLine := &result{Name: "of 10,000 alerts, each sent twice while one replica is killed: doubled", Value: float64(doubled)}
	return []*result{lostLine.reach("0", lost == 0), doubledLine.reach("0", doubled == 0)}, nil
}

// sendUntilTaken sends a notification as Alertmanager does: again after a status of 500 and above, or none.
func (b *bench) sendUntilTaken(ctx context.Context, namespace string, body []byte, again *atomic.Int64) error {
	for ctx.Err() == nil {
		status, err := post(ctx, b.sender, b.triggerURL(namespace), body)
		switch {
		case err == nil:
			return nil
		case status != 0 && status < http.StatusInternalServerError && status != http.StatusOK:
			return fmt.Errorf("an answer that loses the notification: %w", err)
		}
		again.Add(1)
		pause(ctx, 200*time.Millisecond)
	}
	return ctx.Err()
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
