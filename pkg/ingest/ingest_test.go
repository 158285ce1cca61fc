// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/ingest"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/notification"
	"karo.io/karo/pkg/precedence"
	"karo.io/karo/pkg/storecache"
)

// epoch is when the alerts of the tests begin, long before the notifications of them arrive.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *nanotime.Time {
	t := nanotime.New(epoch.Add(d))
	return &t
}

// fakes stand in for storage, for the namespaces, and for those who are told. What is stored is seen by no cache: the
// memory has to know what its own process did.
type fakes struct {
	lock       sync.Mutex
	executions map[string]*karo.Execution
	revisions  map[string]bool
	known      []string // The keys of the Alerts that were asked for, or touched.
	matched    map[string]int
	skipped    map[string][]string
	events     []string
	terminal   map[string]bool // Namespaces that are going.
}

func (f *fakes) CreateExecution(_ context.Context, e *karo.Execution) (*karo.Execution, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	key := e.Namespace + "/" + e.Name
	if f.executions[key] != nil {
		return nil, apierrors.NewAlreadyExists(karo.Resource("executions"), e.Name)
	}
	if !f.revisions[e.Namespace+"/"+e.Spec.Reaction.Revision] {
		return nil, fmt.Errorf("the revision of %s is not stored before it", key)
	}
	stored := e.DeepCopy()
	stored.ResourceVersion = strconv.Itoa(len(f.executions) + 1)
	f.executions[key] = stored
	return stored.DeepCopy(), nil
}

func (f *fakes) GetExecution(_ context.Context, namespace, name string) (*karo.Execution, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if e := f.executions[namespace+"/"+name]; e != nil {
		return e.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(karo.Resource("executions"), name)
}

func (f *fakes) EnsureRevision(_ context.Context, r *karo.ReactionRevision) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.revisions[r.Namespace+"/"+r.Name] = true
	return nil
}

func (f *fakes) Get(_ context.Context, name string) (*corev1.Namespace, error) {
	if name == "missing" {
		return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if f.terminal[name] {
		ns.DeletionTimestamp = &metav1.Time{Time: epoch}
	}
	return ns, nil
}

func (f *fakes) Matched(r *karo.AlertReaction, _ time.Time) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.matched[r.Namespace+"/"+r.Name]++
}

func (f *fakes) Skipped(r *karo.AlertReaction, skip karo.SkipMemory) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.skipped[r.Namespace+"/"+r.Name] = append(f.skipped[r.Namespace+"/"+r.Name], skip.Reason)
}

func (f *fakes) Reaction(r *karo.AlertReaction, _, reason, format string, args ...any) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.events = append(f.events, r.Namespace+"/"+r.Name+" "+reason+" "+fmt.Sprintf(format, args...))
}

func (f *fakes) Execution(e *karo.Execution, _, reason, format string, args ...any) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.events = append(f.events, e.Namespace+"/"+e.Name+" "+reason+" "+fmt.Sprintf(format, args...))
}

func (f *fakes) Namespace(namespace, _, reason, format string, args ...any) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.events = append(f.events, namespace+" "+reason+" "+fmt.Sprintf(format, args...))
}

func (f *fakes) ReactionLives(string, string, types.UID) bool { return true }
func (f *fakes) NamespaceLives(string) bool                   { return true }

// Merge gathers which Alerts would be written.
func (f *fakes) Merge(_ context.Context, key types.NamespacedName, _ bool, _ func(*karo.Alert) bool) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.known = append(f.known, key.Namespace)
	return nil
}

type world struct {
	*fakes
	*ingest.Ingest
	t *testing.T
}

func newWorld(t *testing.T, reactions ...*karo.AlertReaction) *world {
	t.Helper()
	f := &fakes{
		executions: map[string]*karo.Execution{}, revisions: map[string]bool{}, matched: map[string]int{}, skipped: map[string][]string{}, terminal: map[string]bool{},
	}
	informer := func(of any, indexers cache.Indexers) *storecache.Informer {
		switch of.(type) {
		case *karo.Alert:
			return &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Alert{}, 0, indexers)}
		default:
			return &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Execution{}, 0, indexers)}
		}
	}
	ofReactions := cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.AlertReaction{}, 0, matching.Indexers())
	for _, r := range reactions {
		if err := ofReactions.GetIndexer().Add(r); err != nil {
			t.Fatal(err)
		}
	}
	index, err := matching.NewIndex(ofReactions)
	if err != nil {
		t.Fatal(err)
	}
	alerts, executions := informer(&karo.Alert{}, cache.Indexers{}), informer(&karo.Execution{}, memory.ExecutionIndexers())
	return &world{fakes: f, t: t, Ingest: &ingest.Ingest{
		Index: index, Memory: memory.New(alerts, executions, f, f), Store: f, Namespaces: f, RenderJobs: jobs.All, Notes: f, Events: f, Storing: &precedence.Lane{}, OwnNamespace: "karo-system",
	}}
}

func reaction(namespace, name string, change func(*karo.AlertReactionSpec)) *karo.AlertReaction {
	r := &karo.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "-" + name), Generation: 1},
		Spec: karo.AlertReactionSpec{
			AlertName: "A", When: []karo.When{karo.WhenFiring}, AlertScope: karo.ScopeNamespace, Order: karo.OrderParallel,
			Actions: []karo.Action{{Name: "a", Image: "i"}},
		},
	}
	if change != nil {
		change(&r.Spec)
	}
	return r
}

func when(when ...karo.When) func(*karo.AlertReactionSpec) {
	return func(s *karo.AlertReactionSpec) { s.When = when }
}

func firing(startsAt *nanotime.Time) karo.AlertOccurrence {
	return karo.AlertOccurrence{Name: "A", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "A", "namespace": "shop"}, StartsAt: startsAt}
}

func resolved(startsAt, endsAt *nanotime.Time) karo.AlertOccurrence {
	alert := firing(startsAt)
	alert.Status, alert.EndsAt = karo.AlertResolved, endsAt
	return alert
}

// send sends alerts to a namespace, or to the whole cluster, and returns what the reactions did, each as
// namespace/name outcome reason.
func (w *world) send(namespace string, alerts ...karo.AlertOccurrence) []string {
	w.t.Helper()
	n := &notification.Notification{Receiver: "team"}
	for _, alert := range alerts {
		n.Alerts = append(n.Alerts, notification.Alert{AlertOccurrence: alert})
	}
	ctx := genericapirequest.WithUser(w.t.Context(), &user.DefaultInfo{Name: "alertmanager"})
	result, err := w.Trigger(ctx, namespace, n)
	if err != nil {
		w.t.Fatal(err)
	}
	var did []string
	for i := range result.Alerts {
		for _, r := range result.Alerts[i].Reactions {
			text := r.Namespace + "/" + r.Name + " " + string(r.Outcome)
			if r.Reason != "" {
				text += " " + r.Reason
			}
			did = append(did, text)
		}
	}
	return did
}

func (w *world) expect(step string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: got %q, want %q", step, got, want)
	}
}

// one returns the one Execution for a status.
func (w *world) one(status karo.AlertStatus) *karo.Execution {
	w.t.Helper()
	var found *karo.Execution
	for _, e := range w.executions {
		if e.Spec.Alert.Status == status {
			if found != nil {
				w.t.Fatalf("there are %s and %s for %s", found.Name, e.Name, status)
			}
			found = e
		}
	}
	if found == nil {
		w.t.Fatalf("there is none for %s", status)
	}
	return found
}

func TestWhatIsStored(t *testing.T) {
	r := reaction("shop", "r", nil)
	w := newWorld(t, r)
	w.expect("first", w.send("shop", firing(at(0))), "shop/r Created")
	e := w.one(karo.AlertFiring)
	if e.Spec.Trigger != karo.TriggerNotification || e.Spec.TriggeredBy != "alertmanager" || e.Spec.Receiver != "team" || e.Spec.ReceivedAt == nil ||
		e.Spec.Reaction.UID != r.UID || e.Status.Phase != karo.PhasePending || !memory.HasFinalizer(e) || e.Spec.After != "" {
		t.Errorf("got %+v", e)
	}
	w.expect("again", w.send("shop", firing(at(0))), "shop/r Known")
	w.expect("earlier", w.send("shop", firing(at(-1))), "shop/r Known")
	w.expect("later", w.send("shop", firing(at(1))), "shop/r Created")
	if w.matched["shop/r"] != 4 {
		t.Errorf("got %d matches noted, want 4", w.matched["shop/r"])
	}
}

func TestWhen(t *testing.T) {
	ended := at(time.Hour)
	for name, tc := range map[string]struct {
		when []karo.When
		sent []karo.AlertOccurrence
		want []string // What the reaction does for each.
	}{
		"firing alone": {
			[]karo.When{karo.WhenFiring}, []karo.AlertOccurrence{firing(at(0)), resolved(at(0), ended)}, []string{"Created", "Unmatched"},
		},
		"resolved alone": {
			[]karo.When{karo.WhenResolved}, []karo.AlertOccurrence{firing(at(0)), resolved(at(0), ended), resolved(at(0), ended)},
			[]string{"Unmatched", "Created", "Known"},
		},
		"resolved alone, of what was never seen to fire": {
			[]karo.When{karo.WhenResolved}, []karo.AlertOccurrence{resolved(at(0), ended)}, []string{"Created"},
		},
		"both": {
			[]karo.When{karo.WhenFiring, karo.WhenResolved}, []karo.AlertOccurrence{firing(at(0)), resolved(at(0), ended), resolved(at(0), ended)},
			[]string{"Created", "Created", "Known"},
		},
		"both, of what was never seen to fire": {
			[]karo.When{karo.WhenFiring, karo.WhenResolved}, []karo.AlertOccurrence{resolved(at(0), ended)}, []string{"Skipped FiringNotRun"},
		},
		"both, skipped for now": {
			[]karo.When{karo.WhenFiring, karo.WhenResolved}, []karo.AlertOccurrence{resolved(at(0), ended), firing(at(0)), resolved(at(0), ended)},
			[]string{"Skipped FiringNotRun", "Created", "Created"},
		},
		// Alertmanager may merge occurrences, and give the resolved alert another start.
		"both, with another start": {
			[]karo.When{karo.WhenFiring, karo.WhenResolved}, []karo.AlertOccurrence{firing(at(time.Minute)), resolved(at(0), ended)}, []string{"Created", "Created"},
		},
		"both, of what began only after that end": {
			[]karo.When{karo.WhenFiring, karo.WhenResolved}, []karo.AlertOccurrence{firing(at(2 * time.Hour)), resolved(at(0), ended)},
			[]string{"Created", "Skipped FiringNotRun"},
		},
		"both, of what began at that end": {
			[]karo.When{karo.WhenFiring, karo.WhenResolved}, []karo.AlertOccurrence{firing(ended), resolved(at(0), ended)},
			[]string{"Created", "Skipped FiringNotRun"},
		},
		"both, without an end": {
			[]karo.When{karo.WhenFiring, karo.WhenResolved}, []karo.AlertOccurrence{firing(at(0)), resolved(at(0), nil)}, []string{"Created", "Created"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, reaction("shop", "r", when(tc.when...)))
			for i, alert := range tc.sent {
				w.expect(fmt.Sprintf("alert %d", i), w.send("shop", alert), "shop/r "+tc.want[i])
			}
		})
	}
}

// The run for the resolved alert waits for the one while it fired, and for that alone.
func TestAfter(t *testing.T) {
	w := newWorld(t, reaction("shop", "r", when(karo.WhenFiring, karo.WhenResolved)))
	w.send("shop", firing(at(0)))
	w.send("shop", resolved(at(0), at(time.Hour)))
	if got, want := w.one(karo.AlertResolved).Spec.After, w.one(karo.AlertFiring).Name; got != want {
		t.Errorf("it waits for %q, want %q", got, want)
	}
	w = newWorld(t, reaction("shop", "r", when(karo.WhenResolved)))
	w.send("shop", resolved(at(0), at(time.Hour)))
	if got := w.one(karo.AlertResolved).Spec.After; got != "" {
		t.Errorf("it waits for %q, want nothing", got)
	}
}

// Alerts of one label set that come together are dealt with in their order: here one fires and is resolved at once.
func TestFiringAndResolvedTogether(t *testing.T) {
	for range 20 {
		w := newWorld(t, reaction("shop", "r", when(karo.WhenFiring, karo.WhenResolved)))
		var alerts []notification.Alert
		for n := range 50 {
			for _, alert := range []karo.AlertOccurrence{firing(at(0)), resolved(at(0), at(time.Hour))} {
				alert.Fingerprint = strconv.Itoa(n)
				alert.Labels = map[string]string{"alertname": "A", "n": alert.Fingerprint}
				alerts = append(alerts, notification.Alert{AlertOccurrence: alert})
			}
		}
		result, err := w.Trigger(t.Context(), "shop", &notification.Notification{Alerts: alerts})
		if err != nil || result.Created != 100 {
			t.Fatalf("%d created, %d skipped, error %v", result.Created, result.Skipped, err)
		}
	}
}

// What is skipped for want of a run is no run: nothing is stored that could stand in the way of one.
func TestFiringNotRunStoresNothing(t *testing.T) {
	w := newWorld(t, reaction("shop", "r", when(karo.WhenFiring, karo.WhenResolved)))
	w.send("shop", resolved(at(0), at(time.Hour)))
	if len(w.executions) > 0 {
		t.Errorf("stored: %v", w.executions)
	}
	if diff := cmp.Diff(map[string][]string{"shop/r": {"FiringNotRun"}}, w.skipped); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
	w.expect("events", w.events, `shop/r FiringNotRun Did not run for the alert "A": the reaction has no run for the firing alert that began before the alert ended`)
}

func TestSuspended(t *testing.T) {
	w := newWorld(t, reaction("shop", "r", func(s *karo.AlertReactionSpec) { s.Suspend = new(true) }))
	w.expect("first", w.send("shop", firing(at(0))), "shop/r Skipped Suspended")
	e := w.one(karo.AlertFiring)
	if e.Status.Phase != karo.PhaseSkipped || e.Status.Reason != "Suspended" || e.Status.CompletionTime == nil || memory.HasFinalizer(e) {
		t.Errorf("got %+v, want one that has ended and is not counted", e)
	}
	const says = ` Suspended Did not run for the alert "A": the reaction is suspended`
	w.expect("events", w.events, "shop/"+e.Name+says)
	w.expect("again", w.send("shop", firing(at(0))), "shop/r Skipped Suspended")
	w.one(karo.AlertFiring)
	w.expect("events", w.events, "shop/"+e.Name+says, "shop/r"+says)
	// Once the Execution that said so has been pruned, what is sent again does not bring it back; what is new is said.
	w = newWorld(t, reaction("shop", "r", func(s *karo.AlertReactionSpec) {
		s.Suspend, s.When = new(true), []karo.When{karo.WhenFiring, karo.WhenResolved}
	}))
	w.send("shop", firing(at(0)))
	clear(w.executions)
	w.expect("again", w.send("shop", firing(at(0))), "shop/r Skipped Suspended")
	if len(w.executions) != 0 {
		t.Errorf("stored again: %v", w.executions)
	}
	w.send("shop", resolved(at(0), at(time.Hour)))
	w.one(karo.AlertResolved)
	w.send("shop", firing(at(time.Minute)))
	w.one(karo.AlertFiring)
}

// What can never be stored is told where people of the namespace look, and of the whole cluster's where those of Karo do.
func TestRefusedAlertsAreTold(t *testing.T) {
	w := newWorld(t, reaction("shop", "r", nil))
	refused := func(name, why string) notification.Alert {
		return notification.Alert{AlertOccurrence: karo.AlertOccurrence{Name: name}, Err: errors.New(why)}
	}
	n := &notification.Notification{Receiver: "te\x1bam", Alerts: []notification.Alert{
		{AlertOccurrence: firing(at(0))}, refused("B", "too large"), refused("C", "no labels"),
	}}
	for _, namespace := range []string{"shop", ""} {
		result, err := w.Trigger(t.Context(), namespace, n)
		if err != nil || result.Refused != 2 || result.Created+result.Known != 1 {
			t.Fatalf("got %+v and error %v", result, err)
		}
	}
	const says = ` AlertsRefused Refused 2 alert(s) of the receiver "te\x1bam"; the first, "B": "too large"`
	w.expect("events", w.events, "shop"+says, "karo-system"+says)
}

// Of alerts that are sent for the whole cluster, a reaction answers those of its own namespace, unless it may answer all.
func TestScope(t *testing.T) {
	cluster := func(s *karo.AlertReactionSpec) { s.AlertScope = karo.ScopeCluster }
	reactions := []*karo.AlertReaction{
		reaction("shop", "own", nil), reaction("bank", "foreign", nil), reaction("bank", "all", cluster), reaction("ops", "all", cluster),
	}
	w := newWorld(t, reactions...)
	w.expect("to the cluster", w.send("", firing(at(0))), "bank/all Created", "ops/all Created", "shop/own Created")
	unlabelled := firing(at(0))
	unlabelled.Labels = map[string]string{"alertname": "A"}
	w.expect("of no namespace", w.send("", unlabelled), "bank/all Created", "ops/all Created")
	// Whoever may send to a namespace says what is an alert of it.
	w.expect("to a namespace", newWorld(t, reactions...).send("bank", firing(at(0))), "bank/all Created", "bank/foreign Created")
	if got := slices.Sorted(maps.Keys(w.matched)); !slices.Equal(got, []string{"bank/all", "ops/all", "shop/own"}) {
		t.Errorf("got matches noted of %q", got)
	}
	// Only the sender is told that something was withheld: by their matchers, tenants could read the alerts of others.
	if len(w.skipped)+len(w.events) > 0 {
		t.Errorf("noted %v, and the events %q", w.skipped, w.events)
	}
	result, err := w.Trigger(t.Context(), "", &notification.Notification{Alerts: []notification.Alert{{AlertOccurrence: unlabelled}}})
	if err != nil || result.Alerts[0].WrongScope != 2 || result.Alerts[0].Outcome != karo.AlertMatched {
		t.Errorf("%v, %+v, want two withheld", err, result.Alerts)
	}
	w = newWorld(t, reaction("bank", "foreign", nil))
	result, err = w.Trigger(t.Context(), "", &notification.Notification{Alerts: []notification.Alert{{AlertOccurrence: unlabelled}}})
	if err != nil || result.Alerts[0].WrongScope != 1 || result.Alerts[0].Outcome != karo.AlertUnmatched || !strings.Contains(result.Alerts[0].Message, "alertScope is Namespace") {
		t.Errorf("%v, %+v, want that it says why", err, result.Alerts)
	}
}

// What scope withheld leaves no trace of the alert in the namespace of the reaction.
func TestWrongScopeTouchesNoAlert(t *testing.T) {
	w := newWorld(t, reaction("bank", "foreign", nil), reaction("shop", "own", nil))
	w.send("", firing(at(0)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Memory.Run(ctx, func(context.Context) {})
	}()
	// The Alert of the other namespace is written about a second later, and both would have been.
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, wait.ForeverTestTimeout, true, func(context.Context) (bool, error) {
		w.lock.Lock()
		defer w.lock.Unlock()
		return len(w.known) > 0, nil
	})
	if err != nil {
		t.Fatalf("no Alert was written: %v", err)
	}
	cancel()
	<-done
	if slices.Contains(w.known, "bank") || !slices.Contains(w.known, "shop") {
		t.Errorf("got Alerts written in %q, want shop alone", w.known)
	}
	if w.Memory.Known(memory.KeyOf("bank", new(firing(at(0))))) {
		t.Error("it is known in bank")
	}
}

func TestNamespacesThatAreGoing(t *testing.T) {
	w := newWorld(t, reaction("shop", "r", func(s *karo.AlertReactionSpec) { s.AlertScope = karo.ScopeCluster }), reaction("bank", "r", func(s *karo.AlertReactionSpec) { s.AlertScope = karo.ScopeCluster }))
	w.terminal["bank"] = true
	w.expect("one of two", w.send("", firing(at(0))), "bank/r Refused", "shop/r Created")
	n := &notification.Notification{Alerts: []notification.Alert{{AlertOccurrence: firing(at(0))}}}
	result, err := w.Trigger(t.Context(), "bank", n)
	if err != nil || result.Refused != 1 || result.Alerts[0].Message != "namespace bank is being terminated" {
		t.Errorf("got %+v and error %v, want it refused", result, err)
	}
	if told := w.events[len(w.events)-1]; !strings.HasPrefix(told, "karo-system AlertsRefused") || !strings.Contains(told, "namespace bank is being terminated") {
		t.Errorf("told: %q", told)
	}
	if _, err := w.Trigger(t.Context(), "missing", n); !apierrors.IsNotFound(err) {
		t.Errorf("got error %v, want that there is no such namespace", err)
	}
}

// A simulation says what would be, and does nothing of it.
func TestSimulate(t *testing.T) {
	w := newWorld(t,
		reaction("shop", "runs", nil), reaction("bank", "foreign", nil), reaction("shop", "other", func(s *karo.AlertReactionSpec) { s.AlertName = "B" }),
		reaction("shop", "suspended", func(s *karo.AlertReactionSpec) { s.Suspend = new(true) }),
	)
	n := &notification.Notification{Alerts: []notification.Alert{{AlertOccurrence: firing(at(0))}}}
	result, err := w.Simulate(t.Context(), "", n)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range result.Alerts[0].Reactions {
		got[r.Namespace+"/"+r.Name] = fmt.Sprintf("%s %s %d Jobs %d matchers", r.Outcome, r.Reason, len(r.Jobs), len(r.Matchers))
	}
	want := map[string]string{
		"shop/runs": "Created  1 Jobs 1 matchers", "bank/foreign": "Unmatched WrongScope 0 Jobs 1 matchers", "shop/other": "Unmatched  0 Jobs 1 matchers",
		"shop/suspended": "Skipped Suspended 0 Jobs 1 matchers",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(w.executions)+len(w.revisions)+len(w.matched)+len(w.skipped)+len(w.events) > 0 {
		t.Errorf("it did something: %+v", w.fakes)
	}
	w.expect("then", w.send("shop", firing(at(0))), "shop/runs Created", "shop/suspended Skipped Suspended")
}
