// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package execution_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/registry/karo/registrytest"
	karorest "karo.io/karo/pkg/registry/karo/rest"
)

// mayRunRestart lets who may run the reaction "restart", and nothing else, run it.
func mayRunRestart(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == "create" && a.GetAPIGroup() == karo.GroupName && a.GetResource() == "alertreactions" &&
		a.GetSubresource() == "executions" && a.GetNamespace() == registrytest.Namespace && a.GetName() == "restart" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// byHand is storage with the reactions "restart", which Bob may run, and "other", which he may not.
type byHand struct {
	*karorest.Stores
	ofReaction interface {
		rest.Getter
		rest.NamedCreater
	}
	cancel  rest.NamedCreater
	restart *karo.AlertReaction
}

func openByHand(t *testing.T) *byHand {
	t.Helper()
	stores, err := karorest.NewStores(registrytest.Scheme, registrytest.NewOptions(t, generic.UndecoratedStorage), authorizer.AuthorizerFunc(mayRunRestart), karorest.Caps{})
	if err != nil {
		t.Fatal(err)
	}
	registrytest.Close(t, stores.AlertReactions.Store)
	registrytest.Close(t, stores.Executions.Store)
	registrytest.Close(t, stores.Revisions)
	registrytest.Close(t, stores.Alerts)
	served := stores.Versions(nil, nil, nil)["v1"]
	h := &byHand{Stores: stores, cancel: served["executions/cancel"].(rest.NamedCreater)}
	h.ofReaction = served["alertreactions/executions"].(interface {
		rest.Getter
		rest.NamedCreater
	})
	for _, name := range []string{"restart", "other"} {
		created := registrytest.Create(t, stores.AlertReactions.Store, &karo.AlertReaction{
			ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace, Name: name},
			Spec: karo.AlertReactionSpec{
				AlertName: "KubePodCrashLooping", When: []karo.When{karo.WhenFiring}, AlertScope: karo.ScopeNamespace, Order: karo.OrderParallel,
				Actions: []karo.Action{{Name: "a", Image: "i"}},
			},
		})
		if name == "restart" {
			h.restart = created
		}
	}
	return h
}

// bob returns the context of a request of Bob.
func bob(t *testing.T) context.Context {
	t.Helper()
	return genericapirequest.WithUser(registrytest.Context(t), &user.DefaultInfo{Name: "bob"})
}

func asked(change func(*karo.Execution)) *karo.Execution {
	e := &karo.Execution{Spec: karo.ExecutionSpec{
		Reaction: karo.ReactionReference{Name: "restart"},
		Alert:    karo.AlertOccurrence{Labels: map[string]string{"pod": "web-1"}},
	}}
	if change != nil {
		change(e)
	}
	return e
}

func (h *byHand) create(t *testing.T, e *karo.Execution, options *metav1.CreateOptions) (*karo.Execution, error) {
	t.Helper()
	obj, err := h.Executions.Execution.Create(bob(t), e, rest.ValidateAllObjectFunc, options)
	if err != nil {
		return nil, err
	}
	return obj.(*karo.Execution), nil
}

// count returns how many Executions and ReactionRevisions are stored.
func (h *byHand) count(t *testing.T) (executions, revisions int) {
	t.Helper()
	for lister, count := range map[rest.Lister]*int{h.Executions.Execution: &executions, h.Revisions: &revisions} {
		list, err := lister.List(bob(t), &metainternalversion.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		switch list := list.(type) {
		case *karo.ExecutionList:
			*count = len(list.Items)
		case *karo.ReactionRevisionList:
			*count = len(list.Items)
		}
	}
	return executions, revisions
}

func TestARunByHand(t *testing.T) {
	h := openByHand(t)
	before := time.Now()
	got, err := h.create(t, asked(func(e *karo.Execution) {
		e.Labels, e.Finalizers = map[string]string{"team": "shop"}, []string{"example.com/own"}
		e.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "c", UID: "u"}}
		e.Status = karo.ExecutionStatus{Phase: karo.PhaseSucceeded, Cancellation: &karo.Cancellation{User: "forged"}}
		e.Spec.Alert.Name, e.Spec.Alert.Fingerprint = "forged", "forged"
	}), &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	revision := names.Revision("restart", h.restart.UID, 1)
	want := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: registrytest.Namespace, GenerateName: "restart-", Generation: 1,
			Labels:     map[string]string{"team": "shop", "karo.io/reaction": "restart"},
			Finalizers: []string{"example.com/own", memory.Finalizer},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "karo.io/v1", Kind: "AlertReaction", Name: "restart", UID: h.restart.UID, Controller: new(true),
			}},
		},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "restart", UID: h.restart.UID, Generation: 1, Revision: revision},
			Alert: karo.AlertOccurrence{
				Name: "KubePodCrashLooping", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "KubePodCrashLooping", "pod": "web-1"},
				Fingerprint: got.Spec.Alert.Fingerprint,
			},
			Trigger: karo.TriggerManual, TriggeredBy: "bob",
		},
		Status: karo.ExecutionStatus{Phase: karo.PhasePending},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "Name", "UID", "ResourceVersion", "CreationTimestamp"),
		cmpopts.IgnoreFields(karo.ExecutionSpec{}, "ReceivedAt")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(got.Name, "restart-") || names.IsReserved(got.Name) {
		t.Errorf("got the name %s", got.Name)
	}
	if f := got.Spec.Alert.Fingerprint; len(f) != 16 || f == "forged" {
		t.Errorf("got the fingerprint %q, want one of the labels", f)
	}
	if at := got.Spec.ReceivedAt; at == nil || at.Before(before) {
		t.Errorf("got the arrival %v, want now", at)
	}
	stored, err := h.Revisions.Get(bob(t), revision, &metav1.GetOptions{})
	if err != nil {
		t.Fatalf("what it runs is not stored: %v", err)
	}
	if diff := cmp.Diff(h.restart.Spec, stored.(*karo.ReactionRevision).Spec); diff != "" {
		t.Errorf("the revision (-want +got):\n%s", diff)
	}
	// A run by hand always runs, and has a name of its own.
	again, err := h.create(t, asked(nil), &metav1.CreateOptions{})
	if err != nil || again.Name == got.Name {
		t.Errorf("got %v and error %v, want another run", again, err)
	}
	if executions, revisions := h.count(t); executions != 2 || revisions != 1 {
		t.Errorf("got %d Executions and %d revisions, want 2 and 1", executions, revisions)
	}
}

func TestAlertOfARunByHand(t *testing.T) {
	h := openByHand(t)
	for name, tc := range map[string]struct {
		given      karo.AlertOccurrence
		wantName   string
		wantStatus karo.AlertStatus
		wantLabels map[string]string
	}{
		"nothing":                {karo.AlertOccurrence{}, "KubePodCrashLooping", karo.AlertFiring, map[string]string{"alertname": "KubePodCrashLooping"}},
		"another name":           {karo.AlertOccurrence{Labels: map[string]string{"alertname": "Drill"}}, "Drill", karo.AlertFiring, map[string]string{"alertname": "Drill"}},
		"a name that is no name": {karo.AlertOccurrence{Labels: map[string]string{"alertname": ""}}, "", karo.AlertFiring, map[string]string{"alertname": ""}},
		"resolved": {
			karo.AlertOccurrence{Status: karo.AlertResolved}, "KubePodCrashLooping", karo.AlertResolved, map[string]string{"alertname": "KubePodCrashLooping"},
		},
	} {
		got, err := h.create(t, asked(func(e *karo.Execution) { e.Spec.Alert = tc.given }), &metav1.CreateOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if alert := got.Spec.Alert; alert.Name != tc.wantName || alert.Status != tc.wantStatus || !cmp.Equal(alert.Labels, tc.wantLabels) {
			t.Errorf("%s: got %+v", name, alert)
		}
	}
}

func TestWhatMayNotBeAskedFor(t *testing.T) {
	h := openByHand(t)
	const ours = `only spec.reaction.name and spec.alert may be given; the rest is for Karo to say`
	reserved := names.Execution("restart", names.Occurrence{})
	for name, tc := range map[string]struct {
		change func(*karo.Execution)
		want   string
	}{
		"spec.reaction.uid":        {func(e *karo.Execution) { e.Spec.Reaction.UID = "u" }, "spec.reaction.uid: Forbidden: " + ours},
		"spec.reaction.generation": {func(e *karo.Execution) { e.Spec.Reaction.Generation = 1 }, "spec.reaction.generation: Forbidden: " + ours},
		"spec.reaction.revision":   {func(e *karo.Execution) { e.Spec.Reaction.Revision = "r" }, "spec.reaction.revision: Forbidden: " + ours},
		"spec.trigger":             {func(e *karo.Execution) { e.Spec.Trigger = karo.TriggerManual }, "spec.trigger: Forbidden: " + ours},
		"spec.triggeredBy":         {func(e *karo.Execution) { e.Spec.TriggeredBy = "alice" }, "spec.triggeredBy: Forbidden: " + ours},
		"spec.after":               {func(e *karo.Execution) { e.Spec.After = "e" }, "spec.after: Forbidden: " + ours},
		"spec.receiver":            {func(e *karo.Execution) { e.Spec.Receiver = "r" }, "spec.receiver: Forbidden: " + ours},
		"spec.receivedAt":          {func(e *karo.Execution) { e.Spec.ReceivedAt = instant(1) }, "spec.receivedAt: Forbidden: " + ours},
		"spec.follows":             {func(e *karo.Execution) { e.Spec.Follows = instant(1) }, "spec.follows: Forbidden: " + ours},
		"spec.reaction.name is missing": {
			func(e *karo.Execution) { e.Spec.Reaction.Name = "" }, "spec.reaction.name: Required value: the name of the AlertReaction to run",
		},
		"metadata.name is that of a run for an alert": {
			func(e *karo.Execution) { e.Name = reserved },
			`metadata.name: Invalid value: "` + reserved + `": names of this shape are for runs that alerts trigger`,
		},
		"spec.alert is too large": {
			func(e *karo.Execution) {
				e.Spec.Alert.Annotations = map[string]string{"a": strings.Repeat("x", 512<<10)}
			},
			"spec.alert: Too long: may not be more than 524288 bytes",
		},
		"spec.alert.status": {
			func(e *karo.Execution) { e.Spec.Alert.Status = "pending" },
			`spec.alert.status: Unsupported value: "pending": supported values: "firing", "resolved"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := asked(tc.change)
			_, err := h.create(t, e, &metav1.CreateOptions{})
			if !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), "is invalid: "+tc.want) {
				t.Errorf("got error %v, want %s", err, tc.want)
			}
		})
	}
	if executions, _ := h.count(t); executions != 0 {
		t.Errorf("%d Executions are stored all the same", executions)
	}
}

func TestWhoMayNotRunIt(t *testing.T) {
	h := openByHand(t)
	// Without the right nothing is said of whether there is such a reaction.
	for _, name := range []string{"other", "missing"} {
		_, err := h.create(t, asked(func(e *karo.Execution) { e.Spec.Reaction.Name = name }), &metav1.CreateOptions{})
		if want := `user "bob" lacks the right "create alertreactions.karo.io/` + name + ` --subresource=executions -n test"`; !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", name, err, want)
		}
	}
	if _, err := h.Executions.Execution.Create(registrytest.Context(t), asked(nil), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !apierrors.IsInternalError(err) {
		t.Errorf("nobody: got error %v, want it refused", err)
	}
	// The reaction may go between the request and the right to run it.
	if _, _, err := h.AlertReactions.Store.Delete(bob(t), "restart", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := h.create(t, asked(nil), &metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), `spec.reaction.name: Not found: "restart"`) {
		t.Errorf("got error %v, want that there is no such reaction", err)
	}
	if executions, revisions := h.count(t); executions != 0 || revisions != 0 {
		t.Errorf("%d Executions and %d revisions are stored all the same", executions, revisions)
	}
}

func TestAReactionThatIsGoingDoesNotRun(t *testing.T) {
	h := openByHand(t)
	registrytest.Update(t, h.AlertReactions.Store, h.restart, func(r *karo.AlertReaction) { r.Finalizers = []string{"example.com/f"} })
	if _, _, err := h.AlertReactions.Store.Delete(bob(t), "restart", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.create(t, asked(nil), &metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("got error %v, want a conflict", err)
	}
}

func TestADryRunStoresNothing(t *testing.T) {
	h := openByHand(t)
	got, err := h.create(t, asked(nil), &metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || got.Spec.Reaction.Revision == "" {
		t.Errorf("got %v and error %v, want what would be stored", got, err)
	}
	if executions, revisions := h.count(t); executions != 0 || revisions != 0 {
		t.Errorf("%d Executions and %d revisions are stored", executions, revisions)
	}
}

func TestExecutionsOfAReaction(t *testing.T) {
	h := openByHand(t)
	request := &karo.ExecutionRequest{
		Labels: map[string]string{"pod": "web-1"}, Annotations: map[string]string{"a": "b"}, StartsAt: instant(1), EndsAt: instant(2), GeneratorURL: "http://g",
	}
	refused := errors.New("admission says no")
	for name, tc := range map[string]struct {
		reaction string
		obj      runtime.Object
		validate rest.ValidateObjectFunc
		refused  func(error) bool
	}{
		"no such reaction": {"missing", request, nil, apierrors.IsNotFound},
		"no right":         {"other", request, nil, apierrors.IsForbidden},
		"another body":     {"restart", &karo.Execution{}, nil, apierrors.IsBadRequest},
		"admission":        {"restart", request, func(context.Context, runtime.Object) error { return refused }, func(err error) bool { return errors.Is(err, refused) }},
	} {
		if _, err := h.ofReaction.Create(bob(t), tc.reaction, tc.obj, tc.validate, &metav1.CreateOptions{}); !tc.refused(err) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	obj, err := h.ofReaction.Create(bob(t), "restart", request, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e := obj.(*karo.Execution)
	want := karo.AlertOccurrence{
		Name: "KubePodCrashLooping", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "KubePodCrashLooping", "pod": "web-1"},
		Annotations: map[string]string{"a": "b"}, StartsAt: instant(1), EndsAt: instant(2), GeneratorURL: "http://g", Fingerprint: e.Spec.Alert.Fingerprint,
	}
	if diff := cmp.Diff(want, e.Spec.Alert); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Those of other reactions are not for who may see these.
	foreign := newExecution()
	foreign.Name, foreign.Spec.Reaction.Name = "foreign", "other"
	registrytest.Create(t, h.Executions.Store, foreign)
	list, err := h.ofReaction.Get(bob(t), "restart", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if items := list.(*karo.ExecutionList).Items; len(items) != 1 || items[0].Name != e.Name {
		t.Errorf("got %v, want the one run of restart", items)
	}
	if _, err := h.ofReaction.Get(bob(t), "missing", &metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got error %v, want that there is no such reaction", err)
	}
}

func TestCancel(t *testing.T) {
	h := openByHand(t)
	cancel := func(who, name string, options *metav1.CreateOptions) (*karo.Execution, error) {
		ctx := genericapirequest.WithUser(registrytest.Context(t), &user.DefaultInfo{Name: who})
		obj, err := h.cancel.Create(ctx, name, &karo.ExecutionCancellation{}, rest.ValidateAllObjectFunc, options)
		if err != nil {
			return nil, err
		}
		return obj.(*karo.Execution), nil
	}
	e, err := h.create(t, asked(func(e *karo.Execution) { e.Name = "by-hand" }), &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cancel("alice", e.Name, &metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	running := registrytest.Update(t, h.Executions.OwnStatus, e, func(e *karo.Execution) { e.Status.Phase = karo.PhaseRunning })
	if running.Status.Cancellation != nil {
		t.Fatalf("a dry run has cancelled it: %+v", running.Status)
	}
	first, err := cancel("alice", e.Name, &metav1.CreateOptions{})
	if err != nil || first.Status.Cancellation == nil || first.Status.Cancellation.User != "alice" || first.Status.Phase != karo.PhaseRunning {
		t.Fatalf("got %+v and error %v, want it to be stopped by the executor", first, err)
	}
	// To ask again changes nothing, so that who asked first is who is told of.
	second, err := cancel("carol", e.Name, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("asked again (-first +second):\n%s", diff)
	}
	registrytest.Update(t, h.Executions.OwnStatus, second, func(e *karo.Execution) {
		e.Status.Phase, e.Status.CompletionTime = karo.PhaseCancelled, &metav1.Time{Time: time.Unix(1, 0)}
	})
	if _, err := cancel("alice", e.Name, &metav1.CreateOptions{}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "it has ended: Cancelled") {
		t.Errorf("one that has ended: got error %v, want a conflict", err)
	}
	if _, err := cancel("alice", "missing", &metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got error %v, want that there is none", err)
	}
	refused := errors.New("admission says no")
	_, err = h.cancel.Create(bob(t), e.Name, &karo.ExecutionCancellation{}, func(context.Context, runtime.Object) error { return refused }, &metav1.CreateOptions{})
	if !errors.Is(err, refused) {
		t.Errorf("got error %v, want that of admission", err)
	}
}
