// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"karo.io/karo/pkg/apis/karo"
)

// job identifies a Job by what it is for: one is to be created for each, ever.
type job struct {
	Namespace, Reaction, Action string
	// Alert is the label "id" of the alert, Occurrence its annotation of that name, Status its status.
	Alert, Occurrence, Status string
}

// created is a Job that was created.
type created struct {
	name string
	uid  types.UID
	at   time.Time
}

func (c created) String() string {
	return fmt.Sprintf("%s (%s) at %s", c.name, c.uid, c.at.Format(time.StampMicro))
}

// ledger has every Job that was ever created, and every pod. It reads the etcd of the cluster itself, which is never
// hit: a watch there survives what happens to the kube-apiserver, and misses no Job that came and went meanwhile.
type ledger struct {
	etcd *clientv3.Client

	lock     sync.Mutex
	jobs     map[job][]created
	pods     map[types.UID]int // of the UID of a Job to how many pods it had
	revision map[string]int64  // up to which each prefix was read
	err      error
}

const (
	jobPrefix = "/registry/jobs/"
	podPrefix = "/registry/pods/"
)

func newLedger(ctx context.Context) (*ledger, error) {
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{cluster.EtcdURL}, Context: ctx})
	if err != nil {
		return nil, err
	}
	l := &ledger{etcd: etcd, jobs: map[job][]created{}, pods: map[types.UID]int{}, revision: map[string]int64{}}
	now, err := etcd.Get(ctx, jobPrefix, clientv3.WithCountOnly())
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's etcd: %w", err)
	}
	for prefix, note := range map[string]func([]byte) error{jobPrefix: l.noteJob, podPrefix: l.notePod} {
		events := etcd.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(now.Header.Revision+1), clientv3.WithFilterDelete())
		go l.read(ctx, prefix, events, note)
	}
	return l, nil
}

func (l *ledger) read(ctx context.Context, prefix string, events clientv3.WatchChan, note func([]byte) error) {
	for resp := range events {
		l.lock.Lock()
		l.err = errors.Join(l.err, resp.Err())
		for _, event := range resp.Events {
			if event.IsCreate() {
				l.err = errors.Join(l.err, note(event.Kv.Value))
			}
		}
		l.revision[prefix] = max(l.revision[prefix], resp.Header.Revision)
		l.lock.Unlock()
	}
	if ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "the watch of", prefix, "has ended")
	}
}

func decode[T any](value []byte) (*T, error) {
	obj, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), value)
	if err != nil {
		return nil, err
	}
	typed, ok := any(obj).(*T)
	if !ok {
		return nil, fmt.Errorf("there is a %T", obj)
	}
	return typed, nil
}

func (l *ledger) noteJob(value []byte) error {
	obj, err := decode[batchv1.Job](value)
	if err != nil || obj.Labels[karo.LabelManagedBy] != karo.ManagedBy {
		return err
	}
	j := job{Namespace: obj.Namespace, Reaction: obj.Labels[karo.LabelReaction], Action: obj.Labels[karo.LabelActionName]}
	for _, env := range obj.Spec.Template.Spec.Containers[0].Env {
		switch env.Name {
		case "ID":
			j.Alert = env.Value
		case "OCCURRENCE":
			j.Occurrence = env.Value
		case "STATUS":
			j.Status = env.Value
		}
	}
	l.jobs[j] = append(l.jobs[j], created{name: obj.Name, uid: obj.UID, at: time.Now()})
	return nil
}

func (l *ledger) notePod(value []byte) error {
	obj, err := decode[corev1.Pod](value)
	if err != nil {
		return err
	}
	if owner := metav1.GetControllerOf(obj); owner != nil {
		l.pods[owner.UID]++
	}
	return nil
}

// current returns once everything that was created before is noted.
func (l *ledger) current(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	now, err := l.etcd.Get(ctx, jobPrefix, clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	return cluster.Until(ctx, "the ledger to be up to date", func(ctx context.Context) error {
		if err := l.etcd.RequestProgress(ctx); err != nil {
			return err
		}
		l.lock.Lock()
		defer l.lock.Unlock()
		for _, prefix := range []string{jobPrefix, podPrefix} {
			if l.revision[prefix] < now.Header.Revision {
				return fmt.Errorf("%s was read up to %d of %d", prefix, l.revision[prefix], now.Header.Revision)
			}
		}
		return nil
	})
}

// count returns how many Jobs of a namespace were created.
func (l *ledger) count(namespaces ...string) int {
	l.lock.Lock()
	defer l.lock.Unlock()
	n := 0
	for j, made := range l.jobs {
		for _, namespace := range namespaces {
			if j.Namespace == namespace {
				n += len(made)
			}
		}
	}
	return n
}
