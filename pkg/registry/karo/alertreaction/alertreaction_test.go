// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/alertreaction"
	"karo.io/karo/pkg/registry/karo/registrytest"
)

func reaction() *karo.AlertReaction {
	return &karo.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace},
		Spec: karo.AlertReactionSpec{
			AlertName:  "KubePodCrashLooping",
			Matchers:   []karo.Matcher{{Name: "severity", Operator: karo.MatchEqual, Value: "critical"}},
			When:       []karo.When{karo.WhenFiring},
			AlertScope: karo.ScopeNamespace,
			Suspend:    new(false),
			Order:      karo.OrderParallel,
			Actions: []karo.Action{{
				Name: "collect", Image: "busybox:1.37",
				Env: []karo.EnvVar{
					{Name: "LITERAL", Literal: `\status`}, {Name: "POD", Expression: "labels.pod"},
					{Name: "ALL", ValueFrom: &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "."}}},
				},
				BackoffLimit: new(int32(0)), ActiveDeadlineSeconds: new(int64(60)), TTLSecondsAfterFinished: new(int32(60)),
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
}

func newStorage(t testing.TB, options generic.RESTOptionsGetter) *alertreaction.Storage {
	t.Helper()
	storage, err := alertreaction.NewStorage(registrytest.Scheme, options)
	if err != nil {
		t.Fatal(err)
	}
	return storage
}

// open opens the storage over etcd itself, until the test ends.
func open(t *testing.T) *alertreaction.Storage {
	t.Helper()
	storage := newStorage(t, registrytest.NewOptions(t, generic.UndecoratedStorage))
	registrytest.Close(t, storage.Store)
	return storage
}

func change(change func(*karo.AlertReaction)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*karo.AlertReaction)) }
}

func TestStore(t *testing.T) {
	suite := registrytest.Suite{
		NewStore: func(t testing.TB, options generic.RESTOptionsGetter) *registry.Store {
			return newStorage(t, options).Store
		},
		Valid: func() runtime.Object { return reaction() },
		Invalid: map[string]func(runtime.Object){
			"no actions":            change(func(r *karo.AlertReaction) { r.Spec.Actions = nil }),
			"nothing to match":      change(func(r *karo.AlertReaction) { r.Spec.AlertName, r.Spec.Matchers = "", nil }),
			"no regular expression": change(func(r *karo.AlertReaction) { r.Spec.Matchers[0] = karo.Matcher{Name: "a", Operator: "=~", Value: "("} }),
			"bad name":              change(func(r *karo.AlertReaction) { r.Name = "No_Name" }),
		},
		Update: change(func(r *karo.AlertReaction) { r.Spec.Actions[0].Image = "busybox:1.38" }),
		InvalidUpdates: map[string]func(runtime.Object){
			"no actions":    change(func(r *karo.AlertReaction) { r.Spec.Actions = nil }),
			"bad operator":  change(func(r *karo.AlertReaction) { r.Spec.Matchers[0].Operator = "==" }),
			"bad label":     change(func(r *karo.AlertReaction) { r.Labels = map[string]string{"a b": "c"} }),
			"no such mount": change(func(r *karo.AlertReaction) { r.Spec.Volumes = nil }),
		},
		FieldsPass: []fields.Set{
			{"spec.alertName": "KubePodCrashLooping"}, {"spec.suspend": "false"},
			{"metadata.name": "foo", "spec.alertName": "KubePodCrashLooping", "spec.suspend": "false"},
		},
		FieldsFail: []fields.Set{{"spec.alertName": "Other"}, {"spec.suspend": "true"}, {"spec.alertName": "KubePodCrashLooping", "spec.suspend": "true"}},
	}
	suite.Run(t)
}

func TestStatusIsWipedOnCreate(t *testing.T) {
	storage := open(t)
	given := reaction()
	given.Name, given.Generation = "r", 7
	given.Status.LastTriggered = &metav1.Time{Time: time.Unix(1, 0)}
	created := registrytest.Create(t, storage.Store, given)
	if diff := cmp.Diff(karo.AlertReactionStatus{}, created.Status); diff != "" {
		t.Errorf("only Karo writes the status (-want +got):\n%s", diff)
	}
	if created.Generation != 1 {
		t.Errorf("got generation %d, want 1", created.Generation)
	}
	if diff := cmp.Diff(reaction().Spec, created.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
}

func TestUpdateOfTheSpec(t *testing.T) {
	storage := open(t)
	given := reaction()
	given.Name = "r"
	created := registrytest.Create(t, storage.Store, given)
	at := metav1.Unix(1, 0)
	triggered := registrytest.Update(t, storage.Status, created, func(r *karo.AlertReaction) { r.Status.LastTriggered = &at })

	updated := registrytest.Update(t, storage.Store, triggered, func(r *karo.AlertReaction) {
		r.Status = karo.AlertReactionStatus{}
		r.Spec.Suspend = new(true)
		r.Labels = map[string]string{"a": "b"}
	})
	if updated.Status.LastTriggered == nil || !updated.Status.LastTriggered.Equal(&at) {
		t.Errorf("got the status %+v, want the one that was stored", updated.Status)
	}
	if !*updated.Spec.Suspend || updated.Labels["a"] != "b" {
		t.Errorf("got %+v, want it changed", updated)
	}
}

func TestUpdateOfTheStatus(t *testing.T) {
	storage := open(t)
	given := reaction()
	given.Name, given.Labels, given.Finalizers = "r", map[string]string{"a": "b"}, []string{"example.com/f"}
	created := registrytest.Create(t, storage.Store, given)

	at := metav1.Unix(1, 0)
	updated := registrytest.Update(t, storage.Status, created, func(r *karo.AlertReaction) {
		r.Status.LastTriggered = &at
		r.Spec = karo.AlertReactionSpec{}
		r.Labels = map[string]string{"a": "c"}
		r.Annotations = map[string]string{"a": "b"}
		r.Finalizers = nil
		r.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "c", UID: "u"}}
	})
	want := created.DeepCopy()
	want.Status.LastTriggered = &at
	want.ResourceVersion = updated.ResourceVersion
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("only the status may change (-want +got):\n%s", diff)
	}
	if updated.ResourceVersion == created.ResourceVersion {
		t.Error("nothing was stored")
	}
	got, err := storage.Status.Get(registrytest.Context(t), "r", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(runtime.Object(updated), got); diff != "" {
		t.Errorf("the subresource shows another object (-want +got):\n%s", diff)
	}
}

// What matches must be known at once where a reaction is written.
func TestWhatIsWrittenIsTold(t *testing.T) {
	storage := open(t)
	var told []string
	served := alertreaction.NewREST(storage.Store, func(*karo.AlertReaction) int { return 0 }, func(resourceVersion string) { told = append(told, resourceVersion) })
	given := reaction()
	given.Name = "r"
	created := registrytest.Create(t, served, given)
	updated := registrytest.Update(t, served, created, func(r *karo.AlertReaction) { r.Spec.AlertName = "B" })
	if _, _, err := served.Delete(registrytest.Context(t), "r", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	number := func(resourceVersion string) int {
		n, err := strconv.Atoi(resourceVersion)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if len(told) != 3 || told[0] != created.ResourceVersion || told[1] != updated.ResourceVersion || number(told[2]) <= number(told[1]) {
		t.Errorf("told %q, want %s, %s and that of the deletion", told, created.ResourceVersion, updated.ResourceVersion)
	}
}

// What has been counted for good is Karo's alone to say.
func TestSettlementIsNotTheirs(t *testing.T) {
	storage := open(t)
	given := reaction()
	given.Name = "r"
	created := registrytest.Create(t, storage.Store, given)
	counted := registrytest.Update(t, storage.OwnStatus, created, func(r *karo.AlertReaction) {
		r.Status.Settlement, r.Status.TriggerCount = &karo.Settlement{Count: 3, Executions: []types.UID{"a"}}, 3
	})
	at := metav1.Unix(1, 0)
	for _, forged := range []*karo.Settlement{nil, {Count: 9}, {Count: 3, Executions: []types.UID{"a", "b"}}} {
		updated := registrytest.Update(t, storage.Status, counted, func(r *karo.AlertReaction) {
			r.Status.Settlement, r.Status.TriggerCount, r.Status.LastMatched = forged, 7, &at
		})
		if diff := cmp.Diff(counted.Status.Settlement, updated.Status.Settlement); diff != "" || updated.Status.TriggerCount != 3 || !updated.Status.LastMatched.Equal(&at) {
			t.Errorf("(-stored +got):\n%s", diff)
		}
		counted = updated
	}
}

func TestStatusNeverCreates(t *testing.T) {
	storage := open(t)
	given := reaction()
	given.Name = "r"
	const forceAllowCreate = true
	_, created, err := storage.Status.Update(registrytest.Context(t), "r", rest.DefaultUpdatedObjectInfo(given),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, forceAllowCreate, &metav1.UpdateOptions{})
	if !apierrors.IsNotFound(err) || created {
		t.Errorf("got created %t and error %v, want that there is none", created, err)
	}
}

func TestGeneration(t *testing.T) {
	storage := open(t)
	given := reaction()
	given.Name = "r"
	stored := registrytest.Create(t, storage.Store, given)
	for _, step := range []struct {
		name    string
		updater rest.Updater
		change  func(*karo.AlertReaction)
		want    int64
	}{
		{"labels", storage.Store, func(r *karo.AlertReaction) { r.Labels = map[string]string{"a": "b"} }, 1},
		{"annotations", storage.Store, func(r *karo.AlertReaction) { r.Annotations = map[string]string{"a": "b"} }, 1},
		{"generation itself", storage.Store, func(r *karo.AlertReaction) { r.Generation = 9 }, 1},
		{"empty is none", storage.Store, func(r *karo.AlertReaction) { r.Spec.Actions[0].Args = []string{} }, 1},
		{"status", storage.Status, func(r *karo.AlertReaction) { r.Status.LastTriggered = &metav1.Time{Time: time.Unix(1, 0)} }, 1},
		{"suspend", storage.Store, func(r *karo.AlertReaction) { r.Spec.Suspend = new(true) }, 2},
		{"an argument", storage.Store, func(r *karo.AlertReaction) { r.Spec.Actions[0].Args = []string{"x"} }, 3},
		{"spec and generation", storage.Store, func(r *karo.AlertReaction) { r.Spec.Suspend, r.Generation = new(false), 50 }, 4},
		{"spec by way of the status", storage.Status, func(r *karo.AlertReaction) { r.Spec.Suspend = new(true) }, 4},
	} {
		stored = registrytest.Update(t, step.updater, stored, step.change)
		if stored.Generation != step.want {
			t.Fatalf("%s: got generation %d, want %d", step.name, stored.Generation, step.want)
		}
	}
}

// Both versions are written by server-side apply.
func TestResetFields(t *testing.T) {
	storage := open(t)
	for name, tc := range map[string]struct {
		strategy rest.ResetFieldsStrategy
		want     *fieldpath.Set
	}{
		"spec":            {storage.Store, fieldpath.NewSet(fieldpath.MakePathOrDie("status"))},
		"status":          {storage.Status, fieldpath.NewSet(append(registrytest.StatusResets(), fieldpath.MakePathOrDie("status", "settlement"), fieldpath.MakePathOrDie("status", "triggerCount"))...)},
		"status, by Karo": {storage.OwnStatus, fieldpath.NewSet(registrytest.StatusResets()...)},
	} {
		got := tc.strategy.GetResetFields()
		if len(got) != 2 || !got["karo.io/v1"].Equals(tc.want) || !got["karo.io/v1alpha1"].Equals(tc.want) {
			t.Errorf("%s: got the reset fields %v, want %s of both versions", name, got, tc.want)
		}
	}
}

func TestSelectableFields(t *testing.T) {
	storage := open(t)
	registrytest.ExpectSelectableFields(t, storage.Store, "AlertReaction")
	if _, _, err := storage.Store.PredicateFunc(nil, nil).GetAttrs(&karo.Alert{}); err == nil {
		t.Error("an Alert has no attributes of an AlertReaction")
	}
}

func TestTable(t *testing.T) {
	storage := open(t)
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(-d)) }
	r := reaction()
	r.Name, r.Spec.Suspend = "r", new(true)
	r.Spec.When, r.Spec.AlertScope = []karo.When{karo.WhenFiring, karo.WhenResolved}, karo.ScopeCluster
	r.Status.LastTriggered, r.Status.TriggerCount = new(ago(3*time.Hour)), 12
	r.Status.LastSkipped = &karo.SkipMemory{Reason: "Suspended", Time: ago(5 * time.Minute)}
	registrytest.ExpectTable(t, storage.Store, r, map[string]any{
		"Name": "r", "Alert": "KubePodCrashLooping", "Actions": int64(1), "Suspend": true, "Triggered": int64(12), "Last Triggered": "3h",
		"Matchers": int64(1), "When": "Firing,Resolved", "Scope": "Cluster", "Last Skipped": "Suspended 5m",
	})
	// A Job template as a whole is one action.
	template := &karo.AlertReaction{Spec: karo.AlertReactionSpec{JobTemplate: &batchv1.JobTemplateSpec{}}}
	registrytest.ExpectTable(t, storage.Status, template, map[string]any{
		"Name": "", "Alert": "", "Actions": int64(1), "Suspend": false, "Triggered": int64(0), "Last Triggered": "<never>",
		"Matchers": int64(0), "When": "", "Scope": "", "Last Skipped": "<never>",
	})
}
