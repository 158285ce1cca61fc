// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

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

// scale is how a server does that has 10,000 reactions and 100,000 Executions: how long after its start it is ready, what
// memory it takes, and how fast lists are.
func scale(ctx context.Context, b *bench) ([]*result, error) {
	const reactions, executions, page = 10_000, 100_000, 500
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
	now := metav1.Now()
	err = s.put(ctx, "executions", executions, func(i int) (*metav1.ObjectMeta, runtime.Object) {
		alert := newAlerts(alertName, i, 1)[0]
		received := nanotime.New(now.Time)
		e := &v1.Execution{
			TypeMeta:   metav1.TypeMeta{APIVersion: "karo.io/v1", Kind: "Execution"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("run-%06d", i)},
			Spec: v1.ExecutionSpec{
				// No more of one reaction than are kept.
				Reaction: v1.ReactionReference{Name: fmt.Sprintf("past-%d", i%1000), UID: types.UID(fmt.Sprintf("past-%d", i%1000)), Generation: 1, Revision: fmt.Sprintf("past-%d", i%1000)},
				Alert: v1.AlertOccurrence{
					Name: alertName, Status: v1.AlertFiring, Labels: alert.Labels, Annotations: alert.Annotations, StartsAt: alert.StartsAt, Fingerprint: alert.Fingerprint,
				},
				Trigger: v1.TriggerNotification, ReceivedAt: &received,
			},
			Status: v1.ExecutionStatus{
				Phase: v1.PhaseSucceeded, StartTime: &now, CompletionTime: &now,
				Actions: []v1.ActionStatus{{Name: "act", JobName: fmt.Sprintf("job-%06d", i), JobUID: types.UID(fmt.Sprintf("job-%06d", i)), Phase: v1.PhaseSucceeded, StartTime: &now, CompletionTime: &now}},
			},
		}
		return &e.ObjectMeta, e
	})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
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
	for {
		begin := time.Now()
		list, err := b.client.KaroV1().Executions(namespace).List(ctx, options)
		if err != nil {
			return nil, err
		}
		pages = append(pages, time.Since(begin))
		count += len(list.Items)
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	if count < executions {
		return nil, fmt.Errorf("listed %d executions of %d", count, executions)
	}
	return []*result{
		{Name: "from a kill to ready, with 10,000 reactions and 100,000 Executions", Value: ready.Seconds(), Unit: "s", Parts: map[string]string{
			"page of 500 Executions, p50 (p99)": p50(pages),
		}},
		{Name: "RSS then", Value: rss, Unit: "MiB"},
	}, nil
}
