// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/apiserver"
	"karo.io/karo/pkg/storagecodec"
)

// prefix is where in etcd the objects of Karo are.
const prefix = "/registry/karo.io/"

// store writes objects as the server stores them, past it: to create as many by requests would take longer than all that
// is measured.
type store struct{ *clientv3.Client }

// openStore connects to the embedded etcd.
func (b *bench) openStore() (store, error) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(b.cluster.Dir, "karo-apiserver", "etcd.sock")}})
	return store{client}, err
}

// put writes n objects of a resource, some at a time.
func (s store) put(ctx context.Context, resource string, n int, object func(i int) (*metav1.ObjectMeta, runtime.Object)) error {
	const batch = 100
	codec := storagecodec.New(apiserver.Scheme, v1.SchemeGroupVersion)
	var ops []clientv3.Op
	for i := range n {
		meta, obj := object(i)
		meta.UID, meta.CreationTimestamp, meta.Generation = uuid.NewUUID(), metav1.Now(), 1
		stored, err := runtime.Encode(codec, obj)
		if err != nil {
			return err
		}
		ops = append(ops, clientv3.OpPut(prefix+resource+"/"+meta.Namespace+"/"+meta.Name, string(stored)))
		if len(ops) < batch && i < n-1 {
			continue
		}
		if _, err := s.Txn(ctx).Then(ops...).Commit(); err != nil {
			return fmt.Errorf("storing %s: %w", resource, err)
		}
		ops = nil
	}
	return nil
}

// addReactions stores reactions in a namespace that do not answer the alerts of the bench, and returns once the server
// knows them. They stay until remove is called, which returns once it does not know them any more.
func (b *bench) addReactions(ctx context.Context, namespace string, n int) (remove func() error, err error) {
	s, err := b.openStore()
	if err != nil {
		return nil, err
	}
	err = s.put(ctx, "alertreactions", n, func(i int) (*metav1.ObjectMeta, runtime.Object) {
		reaction := otherReaction(i)
		reaction.Namespace = namespace
		reaction.TypeMeta = metav1.TypeMeta{APIVersion: "karo.io/v1", Kind: "AlertReaction"}
		return &reaction.ObjectMeta, reaction
	})
	if err != nil {
		return nil, err
	}
	remove = func() error {
		defer s.Close()
		if _, err := s.Delete(ctx, prefix+"alertreactions/"+namespace+"/other-", clientv3.WithPrefix()); err != nil {
			return err
		}
		return b.cluster.Until(ctx, "the reactions to go", func(ctx context.Context) error {
			list, err := b.client.KaroV1().AlertReactions(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err == nil && len(list.Items) > 1 {
				err = fmt.Errorf("there are %d", len(list.Items))
			}
			return err
		})
	}
	return remove, b.statusesWritten(ctx, namespace)
}

// statusesWritten returns once every reaction of a namespace has its status: then the server knows all of them, and has
// no more to do about them.
func (b *bench) statusesWritten(ctx context.Context, namespace string) error {
	return b.cluster.Until(ctx, "the status of all reactions", func(ctx context.Context) error {
		list, err := b.client.KaroV1().AlertReactions(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if len(list.Items[i].Status.Conditions) == 0 {
				return fmt.Errorf("reaction %s has none", list.Items[i].Name)
			}
		}
		return nil
	})
}

// putExecutions stores n Executions that ended two hours ago, as many of each of 1,000 reactions, which are gone. Their Jobs
// are gone too, so that each may be pruned.
func (s store) putExecutions(ctx context.Context, namespace string, from, n int) error {
	ended := metav1.NewTime(time.Now().Add(-2 * time.Hour))
	received := nanotime.New(ended.Time)
	return s.put(ctx, "executions", n, func(i int) (*metav1.ObjectMeta, runtime.Object) {
		alert := newAlerts(alertName, from+i, 1)[0]
		reaction, job := fmt.Sprintf("past-%d", i%1000), fmt.Sprintf("job-%06d", from+i)
		e := &v1.Execution{
			TypeMeta:   metav1.TypeMeta{APIVersion: "karo.io/v1", Kind: "Execution"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("run-%06d", from+i)},
			Spec: v1.ExecutionSpec{
				Reaction: v1.ReactionReference{Name: reaction, UID: types.UID(reaction), Generation: 1, Revision: reaction},
				Alert: v1.AlertOccurrence{
					Name: alertName, Status: v1.AlertFiring, Labels: alert.Labels, Annotations: alert.Annotations, StartsAt: alert.StartsAt, Fingerprint: alert.Fingerprint,
				},
				Trigger: v1.TriggerNotification, ReceivedAt: &received,
			},
			Status: v1.ExecutionStatus{
				Phase: v1.PhaseSucceeded, StartTime: &ended, CompletionTime: &ended,
				Actions: []v1.ActionStatus{{Name: "act", JobName: job, JobUID: types.UID(job), Phase: v1.PhaseSucceeded, StartTime: &ended, CompletionTime: &ended}},
			},
		}
		return &e.ObjectMeta, e
	})
}

// scale is how a server does that has 10,000 reactions and 100,000 Executions: how long after its start it is ready, what
// memory it takes, how fast lists are, and a watch, and how fast those are pruned that are one too many.
func scale(ctx context.Context, b *bench) ([]*result, error) {
	const reactions, executions, page, more = 10_000, 100_000, 500, 5000
	namespace, err := b.newNamespace(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := b.addReactions(ctx, namespace, reactions); err != nil { // They stay; nothing comes after this.
		return nil, err
	}
	s, err := b.openStore()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.putExecutions(ctx, namespace, 0, executions), s.Close()); err != nil {
		return nil, err
	}
	b.karo.Process().Kill()
	begin := time.Now()
	if err := b.karo.Start(ctx); err != nil {
		return nil, err
	}
	ready := time.Since(begin)
	if err := b.karo.Available(ctx); err != nil {
		return nil, err
	}
	rss, err := b.memory("VmRSS")
	if err != nil {
		return nil, err
	}
	options, count := metav1.ListOptions{Limit: page}, 0
	var pages []time.Duration
	var list *v1.ExecutionList
	for list == nil || list.Continue != "" {
		begin := time.Now()
		if list, err = b.client.KaroV1().Executions(namespace).List(ctx, options); err != nil {
			return nil, err
		}
		pages = append(pages, time.Since(begin))
		count += len(list.Items)
		options.Continue = list.Continue
	}
	if count < executions {
		return nil, fmt.Errorf("listed %d executions of %d", count, executions)
	}
	seen, pruned, err := b.prune(ctx, namespace, list.ResourceVersion, executions, more)
	if err != nil {
		return nil, fmt.Errorf("pruning: %w", err)
	}
	return []*result{
		{Name: "from a kill to ready, with 10,000 reactions and 100,000 Executions", Value: ready.Seconds(), Unit: "s", Parts: map[string]string{
			"page of 500 Executions, p50 (p99)": p50(pages),
		}},
		{Name: "RSS then", Value: rss, Unit: "MiB"},
		{Name: "Executions pruned per second then", Value: pruned, Unit: "/s", Parts: map[string]string{
			"Executions added, as seen by a watch": fmt.Sprintf("%.0f/s", seen),
		}},
	}, nil
}

// prune stores more Executions than are kept, and watches them come, and as many go. It returns how many came in a second,
// and how many went in one once all had come.
func (b *bench) prune(ctx context.Context, namespace, version string, from, n int) (came, went float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	watching, err := b.client.KaroV1().Executions(namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return 0, 0, err
	}
	defer watching.Stop()
	s, err := b.openStore()
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	begin := time.Now()
	var putting errgroup.Group
	putting.Go(func() error {
		err := s.putExecutions(ctx, namespace, from, n)
		if err != nil {
			cancel() // Nothing more comes.
		}
		return err
	})
	events := map[watch.EventType]int{}
	left := n
	for event := range watching.ResultChan() {
		events[event.Type]++
		switch {
		case event.Type == watch.Added && events[event.Type] == n:
			came, begin, left = perSecond(n, time.Since(begin)), time.Now(), n-events[watch.Deleted]
		case event.Type == watch.Deleted && events[event.Type] == n:
			return came, perSecond(left, time.Since(begin)), putting.Wait()
		}
	}
	return 0, 0, errors.Join(fmt.Errorf("the watch ended after %v", events), putting.Wait())
}
