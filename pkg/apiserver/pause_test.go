// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes/fake"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/records"
	"karo.io/karo/pkg/recovery"
	"karo.io/karo/pkg/registry/karo/registrytest"
	karorest "karo.io/karo/pkg/registry/karo/rest"
	"karo.io/karo/pkg/storeid"
)

// replicas are servers of one store and one cluster.
type replicas struct {
	t       *testing.T
	options generic.RESTOptionsGetter
	config  *storagebackend.Config
	records *records.Records
	cluster *fake.Clientset
}

func newReplicas(t *testing.T) *replicas {
	t.Helper()
	options := registrytest.NewOptions(t, generic.UndecoratedStorage)
	opts, err := options.GetRESTOptions(karo.Resource("executions"), nil)
	if err != nil {
		t.Fatal(err)
	}
	stores, err := karorest.NewStores(registrytest.Scheme, options, nil, karorest.Caps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []*registry.Store{stores.AlertReactions.Store, stores.Executions.Store, stores.Revisions, stores.Alerts} {
		registrytest.Close(t, store)
	}
	return &replicas{t: t, options: options, config: &opts.StorageConfig.Config, records: stores.Records(), cluster: fake.NewClientset()}
}

// start returns what a replica that starts now knows.
func (r *replicas) start(accept string) *pause {
	r.t.Helper()
	p, recorder := &pause{}, events.NewRecorder(r.cluster)
	r.t.Cleanup(recorder.Shutdown)
	if err := p.begin(r.t.Context(), r.options, r.cluster, r.records, recorder, &ExtraConfig{Namespace: "ns", AcceptStore: accept}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.close)
	return p
}

func (r *replicas) expect(what string, p *pause, paused bool) {
	r.t.Helper()
	if got := p.why.Load() != nil; got != paused {
		r.t.Errorf("%s: paused is %t", what, got)
	}
}

// A replica pauses when the store goes back while it runs, and goes on when another one has accepted it.
func TestPauseOfReplicas(t *testing.T) {
	r := newReplicas(t)
	first, second := r.start(""), r.start("unused")
	r.expect("the first", first, false)
	r.expect("the second", second, false)
	if err := first.advance(t.Context()); err != nil {
		t.Errorf("taking over: %v", err)
	}
	if err := storeid.Forget(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	if err := first.advance(t.Context()); err == nil {
		t.Error("it takes over a store that it does not know")
	}
	second.look(t.Context())
	r.expect("the one that leads", first, true)
	r.expect("the other", second, true)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.over(ended); err == nil {
		t.Error("it stands for election")
	}
	id := second.why.Load().ID
	r.expect("one that starts", r.start("0123456789abcdef"), true)
	r.expect("one that accepts it", r.start(id), false)
	first.look(t.Context())
	second.look(t.Context())
	r.expect("the first, later", first, false)
	r.expect("the second, later", second, false)
	if err := first.over(t.Context()); err != nil {
		t.Error(err)
	}
	if err := first.over(ended); err == nil {
		t.Error("it stands for election, though that is over")
	}
	// What cannot be read says nothing against the store.
	first.look(ended)
	r.expect("the first, when nothing can be read", first, false)
}

// An empty store in a cluster without the ConfigMap is no first installation while Jobs say that they belong to Executions.
func TestPauseWithJobsOfAnotherStore(t *testing.T) {
	r := newReplicas(t)
	r.job()
	for range 2 { // It stays so.
		p := r.start("")
		r.expect("with a Job of another store", p, true)
		if e, err := r.records.GetExecution(t.Context(), "ns", "e"); err != nil || e.UID != "lost" {
			t.Errorf("it is not written back: %v", err)
		}
	}
	r.expect("accepted", r.start(r.start("").why.Load().ID), false)
}

// job creates the Job of an Execution that the store has not.
func (r *replicas) job() {
	r.t.Helper()
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "e", UID: "lost"},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "r"}, Trigger: karo.TriggerManual,
			Alert: karo.AlertOccurrence{Name: "A", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "A"}},
		},
	}
	spec := &karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Image: "i"}}}
	job, err := jobs.Build(e, spec, &spec.Actions[0])
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.cluster.BatchV1().Jobs("ns").Create(r.t.Context(), job, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// slow is a Store that waits once it is read, and is read once only.
type slow struct {
	recovery.Store
	asked, answer chan struct{}
}

func (s *slow) EachExecution(ctx context.Context, do func(*karo.Execution)) error {
	close(s.asked)
	<-s.answer
	return s.Store.EachExecution(ctx, do)
}

// Whoever leads hears of a store that has gone back before anything is written back: its work has to end at once.
func TestPauseEndsTheWorkAtOnce(t *testing.T) {
	r := newReplicas(t)
	p := r.start("")
	if err := storeid.Forget(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	r.job()
	asked, answer := make(chan struct{}), make(chan struct{})
	p.recovery.Store = &slow{p.recovery.Store, asked, answer}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.look(t.Context())
	}()
	<-asked // One writes back, and takes its time.
	if err := p.advance(t.Context()); err == nil {
		t.Error("it goes on to lead")
	}
	r.expect("while it is written back", p, true)
	p.look(t.Context()) // Nobody else does it as well.
	close(answer)
	<-done
	if e, err := r.records.GetExecution(t.Context(), "ns", "e"); err != nil || e.UID != "lost" {
		t.Errorf("it is not written back: %v", err)
	}
	p.look(t.Context()) // Nor again.
}

// Without the right, or the cluster, it cannot be told, and the server does not start.
func TestPauseThatCannotBeTold(t *testing.T) {
	r := newReplicas(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &pause{}
	err := p.begin(ctx, r.options, r.cluster, r.records, nil, &ExtraConfig{Namespace: "ns"})
	t.Cleanup(p.close)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if list, err := r.cluster.CoreV1().ConfigMaps("ns").List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("got %v, %v", list, err)
	}
}

type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

func TestPauseGuards(t *testing.T) {
	r := newReplicas(t)
	if _, err := r.cluster.CoreV1().ConfigMaps("ns").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: storeid.ConfigMapName}, Data: map[string]string{"nonce": "of another store"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	paused := r.start("")
	r.expect("with an empty store", paused, true)
	const refused, warned, silent = "refused", "warned", "silent"
	for name, tc := range map[string]struct {
		info genericapirequest.RequestInfo
		want string
	}{
		"a notification":                    {genericapirequest.RequestInfo{Verb: "create", Resource: "alerts", Name: "trigger"}, refused},
		"a notification for all namespaces": {genericapirequest.RequestInfo{Verb: "create", Resource: "clusteralerts", Name: "trigger"}, refused},
		"a simulation":                      {genericapirequest.RequestInfo{Verb: "create", Resource: "alerts", Name: "simulate"}, warned},
		"a run by hand":                     {genericapirequest.RequestInfo{Verb: "create", Resource: "executions"}, refused},
		"a run of a reaction":               {genericapirequest.RequestInfo{Verb: "create", Resource: "alertreactions", Name: "r", Subresource: "executions"}, refused},
		"the runs of a reaction":            {genericapirequest.RequestInfo{Verb: "get", Resource: "alertreactions", Name: "r", Subresource: "executions"}, warned},
		"a cancellation":                    {genericapirequest.RequestInfo{Verb: "create", Resource: "executions", Name: "e", Subresource: "cancel"}, warned},
		"a new reaction":                    {genericapirequest.RequestInfo{Verb: "create", Resource: "alertreactions"}, warned},
		"a list":                            {genericapirequest.RequestInfo{Verb: "list", Resource: "executions"}, warned},
		"a watch":                           {genericapirequest.RequestInfo{Verb: "watch", Resource: "executions"}, silent},
	} {
		t.Run(name, func(t *testing.T) {
			tc.info.IsResourceRequest, tc.info.APIGroup, tc.info.APIVersion = true, karo.GroupName, "v1"
			for what, p := range map[string]*pause{"paused": paused, "not paused": {}} {
				var said warnings
				passed := false
				ctx := warning.WithWarningRecorder(genericapirequest.WithRequestInfo(t.Context(), &tc.info), &said)
				w := httptest.NewRecorder()
				p.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).
					ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
				got := silent
				switch {
				case !passed && w.Code == http.StatusServiceUnavailable:
					got = refused
				case len(said) > 0:
					got = warned
				}
				if want := tc.want; p == paused && got != want || p != paused && got != silent {
					t.Errorf("%s: got %s, want %s", what, got, want)
				}
			}
		})
	}
}
