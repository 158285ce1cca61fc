// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package execution_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/registry/karo/execution"
	"karo.io/karo/pkg/registry/karo/registrytest"
)

func instant(nanoseconds int64) *nanotime.Time {
	t := nanotime.New(time.Unix(1_772_366_400, nanoseconds))
	return &t
}

func newExecution() *karo.Execution {
	return &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "restart", UID: "uid", Generation: 1, Revision: "restart-1"},
			Alert: karo.AlertOccurrence{
				Name: "KubePodCrashLooping", Status: karo.AlertFiring, Fingerprint: "0123456789abcdef",
				Labels:      map[string]string{"alertname": "KubePodCrashLooping", "instance": "node-1", "größe": "a\x00b"},
				Annotations: map[string]string{"summary": "$(S)"},
				StartsAt:    instant(1), EndsAt: instant(2),
			},
			Trigger:     karo.TriggerNotification,
			TriggeredBy: "alertmanager",
			ReceivedAt:  instant(3),
			Follows:     instant(4),
		},
		Status: karo.ExecutionStatus{Phase: karo.PhasePending},
	}
}

func newStorage(t testing.TB, options generic.RESTOptionsGetter) *execution.Storage {
	t.Helper()
	storage, err := execution.NewStorage(registrytest.Scheme, options, &execution.Hand{})
	if err != nil {
		t.Fatal(err)
	}
	return storage
}

// open opens the storage over etcd itself, until the test ends.
func open(t *testing.T) *execution.Storage {
	t.Helper()
	storage := newStorage(t, registrytest.NewOptions(t, generic.UndecoratedStorage))
	registrytest.Close(t, storage.Store)
	return storage
}

func change(change func(*karo.Execution)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*karo.Execution)) }
}

func TestStore(t *testing.T) {
	suite := registrytest.Suite{
		NewStore: func(t testing.TB, options generic.RESTOptionsGetter) *registry.Store {
			return newStorage(t, options).Store
		},
		Valid: func() runtime.Object { return newExecution() },
		Invalid: map[string]func(runtime.Object){
			"no reaction": change(func(e *karo.Execution) { e.Spec.Reaction.Name = "" }),
			"no labels":   change(func(e *karo.Execution) { e.Spec.Alert.Labels = nil }),
			"bad status":  change(func(e *karo.Execution) { e.Spec.Alert.Status = "pending" }),
			"no trigger":  change(func(e *karo.Execution) { e.Spec.Trigger = "" }),
		},
		Update: change(func(e *karo.Execution) { e.Labels = map[string]string{"a": "b"} }),
		InvalidUpdates: map[string]func(runtime.Object){
			"another reaction": change(func(e *karo.Execution) { e.Spec.Reaction.UID = "other" }),
			"another start":    change(func(e *karo.Execution) { e.Spec.Alert.StartsAt = instant(9) }),
			"another label":    change(func(e *karo.Execution) { e.Spec.Alert.Labels = map[string]string{"alertname": "Other"} }),
			"another arrival":  change(func(e *karo.Execution) { e.Spec.ReceivedAt = nil }),
		},
		FieldsPass: []fields.Set{
			{"spec.reaction.name": "restart"}, {"spec.alert.name": "KubePodCrashLooping"},
			{"spec.alert.fingerprint": "0123456789abcdef"}, {"status.phase": "Pending"},
		},
		FieldsFail: []fields.Set{
			{"spec.reaction.name": "other"}, {"spec.alert.name": "Other"}, {"spec.alert.fingerprint": "0"}, {"status.phase": "Running"},
		},
	}
	suite.Run(t)
}

// Only Karo itself creates Executions, and one that is skipped is stored with its end.
func TestStatusIsKeptOnCreate(t *testing.T) {
	storage := open(t)
	given := newExecution()
	given.Name, given.Generation = "e", 7
	given.Status = karo.ExecutionStatus{Phase: karo.PhaseSkipped, Reason: "Suspended"}
	want := given.DeepCopy().Status
	created := registrytest.Create(t, storage.Store, given)
	if diff := cmp.Diff(want, created.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if created.Generation != 1 {
		t.Errorf("got generation %d, want 1", created.Generation)
	}
}

// The memory of an alert lies in these times, to the nanosecond.
func TestWhatIsStoredComesBack(t *testing.T) {
	storage := open(t)
	given := newExecution()
	given.Name = "e"
	want := newExecution().Spec
	registrytest.Create(t, storage.Store, given)
	got, err := storage.Execution.Get(registrytest.Context(t), "e", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.(*karo.Execution).Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestUpdateOfTheMetadata(t *testing.T) {
	storage := open(t)
	given := newExecution()
	given.Name, given.Finalizers = "e", []string{"karo.io/memory"}
	created := registrytest.Create(t, storage.Store, given)
	updated := registrytest.Update(t, storage.Execution, created, func(e *karo.Execution) {
		e.Labels = map[string]string{"a": "b"}
		e.Finalizers = nil
		e.Status = karo.ExecutionStatus{Phase: karo.PhaseSucceeded}
	})
	want := created.DeepCopy()
	want.Labels, want.ResourceVersion = map[string]string{"a": "b"}, updated.ResourceVersion
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("neither the status nor Karo's finalizer is for clients to change (-want +got):\n%s", diff)
	}
	// Karo takes it away itself, and nobody gives it back.
	released := registrytest.Update(t, storage.Store, updated, func(e *karo.Execution) { e.Finalizers = nil })
	again := registrytest.Update(t, storage.Execution, released, func(e *karo.Execution) { e.Finalizers = []string{"karo.io/memory", "example.com/mine"} })
	if diff := cmp.Diff([]string{"example.com/mine"}, again.Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
}

func TestUpdateOfTheStatus(t *testing.T) {
	storage := open(t)
	given := newExecution()
	given.Name, given.Labels, given.Finalizers = "e", map[string]string{"a": "b"}, []string{"karo.io/memory"}
	created := registrytest.Create(t, storage.Store, given)
	updated := registrytest.Update(t, storage.OwnStatus, created, func(e *karo.Execution) {
		e.Status = karo.ExecutionStatus{Phase: karo.PhaseRunning, Reason: "r", Actions: []karo.ActionStatus{{Name: "a"}}}
		e.Spec = karo.ExecutionSpec{}
		e.Labels = nil
		e.Annotations = map[string]string{"a": "b"}
		e.Finalizers = nil
		e.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "c", UID: "u"}}
		e.Generation = 5
	})
	want := created.DeepCopy()
	want.Status = karo.ExecutionStatus{Phase: karo.PhaseRunning, Reason: "r", Actions: []karo.ActionStatus{{Name: "a"}}}
	want.ResourceVersion = updated.ResourceVersion
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("only the status may change (-want +got):\n%s", diff)
	}
}

// Whatever a client writes into a status, nothing that has run runs again by it, and nothing is stopped or let go.
func TestUpdateOfTheStatusByOthers(t *testing.T) {
	storage := open(t)
	given := newExecution()
	given.Name = "e"
	ended := &metav1.Time{Time: time.Unix(1, 0)}
	condition := metav1.Condition{Type: "Seen", Status: metav1.ConditionTrue, Reason: "r", LastTransitionTime: metav1.Unix(1, 0)}
	for name, stored := range map[string]karo.ExecutionStatus{
		"succeeded": {Phase: karo.PhaseSucceeded, StartTime: ended, CompletionTime: ended, Actions: []karo.ActionStatus{{Name: "a", JobName: "j", JobUID: "u", Phase: karo.PhaseSucceeded}}},
		"skipped":   {Phase: karo.PhaseSkipped, Reason: "Suspended", CompletionTime: ended},
		"running":   {Phase: karo.PhaseRunning, StartTime: ended, Actions: []karo.ActionStatus{{Name: "a", JobName: "j", JobUID: "u", Phase: karo.PhaseRunning}}},
		"pending":   {Phase: karo.PhasePending},
	} {
		for what, forged := range map[string]karo.ExecutionStatus{
			"nothing":   {},
			"pending":   {Phase: karo.PhasePending},
			"cancelled": {Phase: karo.PhaseRunning, Cancellation: &karo.Cancellation{Time: *ended, User: "u"}, Actions: stored.Actions},
			"ended":     {Phase: karo.PhaseSucceeded, CompletionTime: ended, StartTime: ended},
			"skipped":   {Phase: karo.PhaseSkipped, CompletionTime: ended},
			"another's": {Phase: karo.PhaseRunning, Actions: []karo.ActionStatus{{Name: "a", JobName: "other", JobUID: "v"}}},
		} {
			given.Name = name + "-" + strings.ReplaceAll(what, "'", "")
			created := registrytest.Create(t, storage.Store, given.DeepCopy())
			before := registrytest.Update(t, storage.OwnStatus, created, func(e *karo.Execution) { e.Status = *stored.DeepCopy() })
			forged.Reason, forged.Conditions = "theirs", []metav1.Condition{condition}
			after := registrytest.Update(t, storage.Status, before, func(e *karo.Execution) { e.Status = *forged.DeepCopy() })
			want := stored.DeepCopy()
			want.Reason, want.Conditions = forged.Reason, forged.Conditions
			if diff := cmp.Diff(*want, after.Status); diff != "" {
				t.Errorf("%s, %s is written (-want +got):\n%s", name, what, diff)
			}
		}
	}
}

func TestUpdateOfTheStatusIsValidated(t *testing.T) {
	storage := open(t)
	given := newExecution()
	given.Name = "e"
	created := registrytest.Create(t, storage.Store, given)
	created.Status.Phase = "Done"
	_, _, err := storage.OwnStatus.Update(registrytest.Context(t), "e", rest.DefaultUpdatedObjectInfo(created),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	const want = `Execution.karo.io "e" is invalid: status.phase: Unsupported value: "Done": supported values: ` +
		`"Pending", "Running", "Succeeded", "Failed", "Cancelled", "Skipped"`
	if !apierrors.IsInvalid(err) || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// Server-side apply updates what may not be there, and says that it may be created. What is applied that way is a run by
// hand like any other; a status is none.
func TestAnUpdateCreatesNoForgery(t *testing.T) {
	storage := open(t)
	given := newExecution()
	given.Name = "e"
	for name, tc := range map[string]struct {
		updater          rest.Updater
		forceAllowCreate bool
		refused          func(error) bool
	}{
		"executions":                 {storage.Execution, false, apierrors.IsNotFound},
		"executions, applied":        {storage.Execution, true, apierrors.IsInvalid},
		"executions/status":          {storage.Status, false, apierrors.IsNotFound},
		"executions/status, applied": {storage.Status, true, apierrors.IsNotFound},
	} {
		_, created, err := tc.updater.Update(registrytest.Context(t), "e", rest.DefaultUpdatedObjectInfo(given),
			rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, tc.forceAllowCreate, &metav1.UpdateOptions{})
		if !tc.refused(err) || created {
			t.Errorf("%s: got created %t and error %v, want it refused", name, created, err)
		}
	}
}

func TestResetFields(t *testing.T) {
	storage := open(t)
	registrytest.ExpectResetFields(t, storage.Execution, fieldpath.MakePathOrDie("status"))
	registrytest.ExpectResetFields(t, storage.OwnStatus, registrytest.StatusResets()...)
	theirs := registrytest.StatusResets()
	for _, ours := range []string{"phase", "actions", "startTime", "completionTime", "cancellation"} {
		theirs = append(theirs, fieldpath.MakePathOrDie("status", ours))
	}
	registrytest.ExpectResetFields(t, storage.Status, theirs...)
}

func TestSelectableFields(t *testing.T) {
	storage := open(t)
	registrytest.ExpectSelectableFields(t, storage.Store, "Execution")
	if _, _, err := storage.Store.PredicateFunc(nil, nil).GetAttrs(&karo.Alert{}); err == nil {
		t.Error("an Alert has no attributes of an Execution")
	}
}

func TestTable(t *testing.T) {
	storage := open(t)
	at := func(seconds int64) *metav1.Time {
		t := metav1.Unix(seconds, 0)
		return &t
	}
	e := newExecution()
	e.Name = "e"
	registrytest.ExpectTable(t, storage.Store, e, map[string]any{
		"Name": "e", "Reaction": "restart", "Alert": "KubePodCrashLooping", "Status": "Pending", "Actions": "",
		"Reason": "", "Instance": "node-1", "Duration": "", "By": "alertmanager",
	})
	e.Status = karo.ExecutionStatus{
		Phase: karo.PhaseFailed, StartTime: at(100), CompletionTime: at(190),
		Actions: []karo.ActionStatus{{Phase: karo.PhaseSucceeded}, {Phase: karo.PhaseFailed, Reason: "ImagePullBackOff"}, {Phase: karo.PhaseSucceeded}},
	}
	registrytest.ExpectTable(t, storage.Status, e, map[string]any{
		"Name": "e", "Reaction": "restart", "Alert": "KubePodCrashLooping", "Status": "Failed", "Actions": "2/3",
		"Reason": "ImagePullBackOff", "Instance": "node-1", "Duration": "90s", "By": "alertmanager",
	})
	running := metav1.NewTime(time.Now().Add(-3 * time.Hour))
	e.Status = karo.ExecutionStatus{
		Phase: karo.PhaseRunning, Reason: "Own", StartTime: &running,
		Actions: []karo.ActionStatus{{Phase: karo.PhaseRunning, Reason: "Unschedulable"}},
	}
	registrytest.ExpectTable(t, storage.Store, e, map[string]any{
		"Name": "e", "Reaction": "restart", "Alert": "KubePodCrashLooping", "Status": "Running", "Actions": "0/1",
		"Reason": "Own", "Instance": "node-1", "Duration": "3h", "By": "alertmanager",
	})
}
