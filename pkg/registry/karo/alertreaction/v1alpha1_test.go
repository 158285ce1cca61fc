// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"karo.io/karo/pkg/apis/karo"
)

// recorder keeps the warnings that a user would be given.
type recorder struct{ texts []string }

func (r *recorder) AddWarning(_, text string) { r.texts = append(r.texts, text) }

// request returns the context of a request in a version.
func request(t *testing.T, version, verb string) (context.Context, *recorder) {
	t.Helper()
	r := &recorder{}
	ctx := genericapirequest.WithRequestInfo(t.Context(), &genericapirequest.RequestInfo{APIVersion: version, Verb: verb})
	return warning.WithWarningRecorder(ctx, r), r
}

func limited(name string) karo.Action {
	return karo.Action{
		Name: name, Image: "i", BackoffLimit: new(int32(0)), ActiveDeadlineSeconds: new(int64(3600)), TTLSecondsAfterFinished: new(int32(3600)),
	}
}

// What a v1alpha1 client writes, which knows nothing of these fields, is what the defaults of v1 say, but for the actions:
// their list reads back as it was written.
func TestCreateInV1alpha1(t *testing.T) {
	ctx, warnings := request(t, "v1alpha1", "create")
	got := &karo.AlertReaction{Spec: karo.AlertReactionSpec{
		AlertName: "A", Matchers: []karo.Matcher{{Name: "a", Value: "b"}}, Actions: []karo.Action{{Name: "a", Image: "i"}, {Name: "a", Image: "i"}},
	}}
	strategy{}.PrepareForCreate(ctx, got)
	want := &karo.AlertReaction{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Spec: karo.AlertReactionSpec{
		AlertName: "A", Matchers: []karo.Matcher{{Name: "a", Value: "b"}},
		When: []karo.When{karo.WhenFiring}, AlertScope: karo.ScopeNamespace, Suspend: new(false), Order: karo.OrderParallel,
		Actions: []karo.Action{{Name: "a", Image: "i"}, {Name: "a-2", Image: "i"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := []string{`spec.actions[1].name: another action has the name "a"; this one is called "a-2"`}; !slices.Equal(warnings.texts, want) {
		t.Errorf("got warnings %q, want %q", warnings.texts, want)
	}
}

// In v1 the defaults have been set before, and two actions of a name are for the validation to refuse. Actions show the
// limits that they have.
func TestCreateInV1(t *testing.T) {
	ctx, warnings := request(t, "v1", "create")
	whole := karo.Action{Name: "whole", JobTemplate: &batchv1.JobTemplateSpec{}}
	got := &karo.AlertReaction{Spec: karo.AlertReactionSpec{Actions: []karo.Action{
		{Name: "a", Image: "i"}, {Name: "a", Image: "i"}, {Name: "b", BackoffLimit: new(int32(2))}, whole,
	}}}
	other := limited("b")
	other.Image, other.BackoffLimit = "", new(int32(2))
	want := &karo.AlertReaction{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Spec: karo.AlertReactionSpec{
		Actions: []karo.Action{limited("a"), limited("a"), other, whole},
	}}
	strategy{}.PrepareForCreate(ctx, got)
	if diff := cmp.Diff(want, got); diff != "" || len(warnings.texts) > 0 {
		t.Errorf("got warnings %q (-want +got):\n%s", warnings.texts, diff)
	}
}

func TestNameUniquely(t *testing.T) {
	for name, tc := range map[string]struct {
		given, want []string
		warnings    int
	}{
		"none":                     {},
		"all different":            {[]string{"a", "b"}, []string{"a", "b"}, 0},
		"three of a name":          {[]string{"a", "a", "a"}, []string{"a", "a-2", "a-3"}, 2},
		"the number is taken":      {[]string{"a", "a", "a-2"}, []string{"a", "a-3", "a-2"}, 1},
		"the number is taken, too": {[]string{"a-2", "a", "a", "a-2"}, []string{"a-2", "a", "a-3", "a-2-2"}, 2},
		"no name":                  {[]string{"", ""}, []string{"", "-2"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, warnings := request(t, "v1alpha1", "create")
			var actions []karo.Action
			for _, given := range tc.given {
				actions = append(actions, karo.Action{Name: given})
			}
			nameUniquely(ctx, actions)
			var got []string
			for i := range actions {
				got = append(got, actions[i].Name)
			}
			if !slices.Equal(got, tc.want) || len(warnings.texts) != tc.warnings {
				t.Errorf("got %q and warnings %q, want %q and %d", got, warnings.texts, tc.want, tc.warnings)
			}
			// A client that applies the same again gets the same.
			before := slices.Clone(got)
			nameUniquely(ctx, actions)
			for i := range actions {
				if actions[i].Name != before[i] {
					t.Errorf("the second time %q is called %q", before[i], actions[i].Name)
				}
			}
		})
	}
}

// stored is a reaction that was written in v1, with what a client of the operator does not know.
func stored() *karo.AlertReaction {
	return &karo.AlertReaction{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Spec: karo.AlertReactionSpec{
		AlertName: "A",
		When:      []karo.When{karo.WhenResolved}, AlertScope: karo.ScopeCluster, Suspend: new(true), Order: karo.OrderSequential, ServiceAccountName: "s",
		Actions: []karo.Action{{
			Name: "a", Image: "i", ImagePullPolicy: corev1.PullNever, Command: []string{"c"}, Args: []string{"x"}, ServiceAccount: "own",
			Env: []karo.EnvVar{
				{Name: "EXPRESSION", Expression: "labels.pod"}, {Name: "FIELD", ValueFrom: &karo.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
			},
			EnvFrom: []corev1.EnvFromSource{{Prefix: "P_"}}, SecurityContext: &corev1.SecurityContext{RunAsNonRoot: new(true)}, ServiceAccountName: "own",
			BackoffLimit: new(int32(3)), ActiveDeadlineSeconds: new(int64(4)), TTLSecondsAfterFinished: new(int32(5)),
			VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v", SubPathExpr: "$(A)", MountPropagation: new(corev1.MountPropagationBidirectional)}},
		}, {Name: "whole", JobTemplate: &batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(3)), ActiveDeadlineSeconds: new(int64(4)), TTLSecondsAfterFinished: new(int32(5)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "template"}},
		}}}},
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "s", Path: "/p"}}}},
	}}
}

// written is what such a client makes of it when it changes an argument.
func written() *karo.AlertReaction {
	return &karo.AlertReaction{Spec: karo.AlertReactionSpec{
		AlertName: "A",
		Actions: []karo.Action{{
			Name: "a", Image: "i", Command: []string{"c"}, Args: []string{"y"}, ServiceAccount: "own",
			Env: []karo.EnvVar{
				{Name: "EXPRESSION", ValueFrom: &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "labels.pod"}}},
				{Name: "FIELD", ValueFrom: &karo.EnvVarSource{}},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}},
		}, {Name: "whole"}},
		Volumes: []corev1.Volume{{Name: "v"}},
	}}
}

func update(t *testing.T, version, verb string, obj, old *karo.AlertReaction) *karo.AlertReaction {
	t.Helper()
	ctx, _ := request(t, version, verb)
	before := old.DeepCopy()
	strategy{}.PrepareForUpdate(ctx, obj, old)
	if diff := cmp.Diff(before, old); diff != "" {
		t.Errorf("what is stored was changed:\n%s", diff)
	}
	return obj
}

func TestAnUpdateInV1alpha1KeepsWhatItDoesNotSay(t *testing.T) {
	got := update(t, "v1alpha1", "update", written(), stored())
	want := stored()
	want.Spec.Actions[0].Args = []string{"y"}
	if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Generation != 2 {
		t.Errorf("got the generation %d, want 2", got.Generation)
	}
	same := written()
	same.Spec.Actions[0].Args = []string{"x"}
	if got := update(t, "v1alpha1", "update", same, stored()); got.Generation != 0 {
		t.Errorf("got the generation %d, want that nothing has changed", got.Generation)
	}
}

// A patch, and server-side apply, say what they take away, but of actions: their list is replaced as a whole, by clients
// that do not know all of it.
func TestAPatchInV1alpha1KeepsOfActions(t *testing.T) {
	for _, verb := range []string{"patch", "apply"} {
		got, kept := update(t, "v1alpha1", verb, written(), stored()).Spec, stored().Spec
		if got.ServiceAccountName != "" || *got.Suspend || got.Order != karo.OrderParallel || got.AlertScope != karo.ScopeNamespace ||
			!slices.Equal(got.When, []karo.When{karo.WhenFiring}) || got.Volumes[0].NFS != nil {
			t.Errorf("%s: got %+v, want what was patched, with the defaults", verb, got)
		}
		kept.Actions[0].Args = []string{"y"}
		if diff := cmp.Diff(kept.Actions, got.Actions); diff != "" {
			t.Errorf("%s: actions (-want +got):\n%s", verb, diff)
		}
	}
}

// A client that knows one of two names of a field is not told by what is stored that the other is wrong.
func TestAnotherServiceAccountInV1alpha1(t *testing.T) {
	given, old := written(), stored()
	given.Spec.Actions[0].ServiceAccount = "another"
	if got := update(t, "v1alpha1", "update", given, old).Spec.Actions[0]; got.ServiceAccount != "another" || got.ServiceAccountName != "" {
		t.Errorf("got %q and %q", got.ServiceAccount, got.ServiceAccountName)
	}
}

func TestAnUpdateInV1KeepsNothing(t *testing.T) {
	want := written()
	showLimits(want.Spec.Actions, stored().Spec.Actions)
	if diff := cmp.Diff(want.Spec, update(t, "v1", "update", written(), stored()).Spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsKept(t *testing.T) {
	for name, tc := range map[string]struct{ given, stored, want karo.AlertReactionSpec }{
		"what is said counts": {
			given: karo.AlertReactionSpec{
				When: []karo.When{karo.WhenFiring}, AlertScope: karo.ScopeNamespace, Suspend: new(false), Order: karo.OrderParallel, ServiceAccountName: "n",
			},
			stored: karo.AlertReactionSpec{
				When: []karo.When{karo.WhenResolved}, AlertScope: karo.ScopeCluster, Suspend: new(true), Order: karo.OrderSequential, ServiceAccountName: "s",
			},
			want: karo.AlertReactionSpec{
				When: []karo.When{karo.WhenFiring}, AlertScope: karo.ScopeNamespace, Suspend: new(false), Order: karo.OrderParallel, ServiceAccountName: "n",
			},
		},
		"a Job template, when there are no actions": {
			stored: karo.AlertReactionSpec{JobTemplate: &batchv1.JobTemplateSpec{}},
			want:   karo.AlertReactionSpec{JobTemplate: &batchv1.JobTemplateSpec{}},
		},
		"no Job template beside actions": {
			given:  karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a"}}},
			stored: karo.AlertReactionSpec{JobTemplate: &batchv1.JobTemplateSpec{}},
			want:   karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a"}}},
		},
		"an action that has an image is no template any more": {
			given:  karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Image: "i"}}},
			stored: karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", JobTemplate: &batchv1.JobTemplateSpec{}}}},
			want:   karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Image: "i"}}},
		},
		"of another action nothing": {
			given:  karo.AlertReactionSpec{Actions: []karo.Action{{Name: "b", Image: "i"}}},
			stored: karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Image: "i", ImagePullPolicy: corev1.PullNever}}},
			want:   karo.AlertReactionSpec{Actions: []karo.Action{{Name: "b", Image: "i"}}},
		},
		"what a client of old does know goes": {
			given:  karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Image: "i"}}},
			stored: karo.AlertReactionSpec{Matchers: []karo.Matcher{{Name: "m"}}, Actions: []karo.Action{{Name: "a", Args: []string{"x"}, Env: []karo.EnvVar{{Name: "E"}}, ServiceAccount: "s"}}},
			want:   karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Image: "i"}}},
		},
		"a variable that is another reference now": {
			given:  karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Env: []karo.EnvVar{{Name: "E", ValueFrom: &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "status"}}}}}}},
			stored: karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Env: []karo.EnvVar{{Name: "E", Expression: "labels.pod"}}}}},
			want:   karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Env: []karo.EnvVar{{Name: "E", ValueFrom: &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "status"}}}}}}},
		},
		"a variable that is literal now": {
			given:  karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Env: []karo.EnvVar{{Name: "E", Literal: "x"}}}}},
			stored: karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Env: []karo.EnvVar{{Name: "E", Expression: "labels.pod"}}}}},
			want:   karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a", Env: []karo.EnvVar{{Name: "E", Literal: "x"}}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			keepStored(&tc.given, &tc.stored)
			if diff := cmp.Diff(tc.want, tc.given); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A limit that is as it would be by default stays in an update, which changes nothing by lacking it, and goes when a manifest
// is applied, which reads back as it was written.
func TestLimitsInV1alpha1(t *testing.T) {
	for update, want := range map[bool]karo.Action{true: limited("a"), false: {Name: "a", Image: "i"}} {
		given := []karo.Action{{Name: "a", Image: "i"}}
		ctx, _ := request(t, "v1alpha1", "any")
		keepStoredOfActions(ctx, given, []karo.Action{limited("a")}, update)
		if diff := cmp.Diff(want, given[0]); diff != "" {
			t.Errorf("update %t (-want +got):\n%s", update, diff)
		}
	}
}

// Whoever changes something else in v1 does not change the actions that v1alpha1 wrote.
func TestLimitsInV1(t *testing.T) {
	plain := karo.Action{Name: "a", Image: "i"}
	other, changed := karo.Action{Name: "a", Image: "j"}, limited("a")
	changed.Image = "j"
	whole := karo.Action{Name: "a", JobTemplate: &batchv1.JobTemplateSpec{}}
	filledIn, own := limited("a"), limited("a")
	filledIn.Image, filledIn.JobTemplate = "", whole.JobTemplate
	own.Image, own.JobTemplate, own.BackoffLimit = "", whole.JobTemplate, new(int32(3))
	ownLeft := karo.Action{Name: "a", JobTemplate: whole.JobTemplate, BackoffLimit: own.BackoffLimit}
	for name, tc := range map[string]struct{ given, stored, want karo.Action }{
		"as it is stored":                 {plain, plain, plain},
		"another image":                   {other, plain, other},
		"another image, of v1":            {other, limited("a"), changed},
		"a limit is taken back":           {plain, changed, limited("a")},
		"another action":                  {plain, karo.Action{Name: "b", Image: "i"}, limited("a")},
		"a whole Job in its place":        {filledIn, limited("a"), whole},
		"a whole Job beside a limit":      {own, limited("a"), ownLeft},
		"a whole Job beside one of old":   {filledIn, whole, filledIn},
		"an image in a whole Job's place": {plain, whole, limited("a")},
	} {
		t.Run(name, func(t *testing.T) {
			got := []karo.Action{*tc.given.DeepCopy()}
			showLimits(got, []karo.Action{tc.stored})
			if diff := cmp.Diff(tc.want, got[0]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What an update in v1alpha1 takes out of an action, and stays, is told.
func TestWhatIsKeptIsTold(t *testing.T) {
	for name, tc := range map[string]struct {
		stored karo.Action
		want   []string
	}{
		"nothing":                  {karo.Action{Name: "a", Image: "i"}, nil},
		"limits that are the same": {limited("a"), nil},
		"what an operator of old did not know": {
			stored().Spec.Actions[0],
			[]string{"spec.actions[0]: imagePullPolicy, envFrom, securityContext, backoffLimit, activeDeadlineSeconds, ttlSecondsAfterFinished, " +
				"volumeMounts[0].subPathExpr, volumeMounts[0].mountPropagation, env[0].valueFrom stays as it is stored; it can be removed in karo.io/v1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, warnings := request(t, "v1alpha1", "patch")
			given := []karo.Action{{
				Name: "a", Image: "i", VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}},
				Env: []karo.EnvVar{{Name: "FIELD", ValueFrom: &karo.EnvVarSource{}}},
			}}
			keepStoredOfActions(ctx, given, []karo.Action{tc.stored}, false)
			if !slices.Equal(warnings.texts, tc.want) {
				t.Errorf("got %q, want %q", warnings.texts, tc.want)
			}
		})
	}
	// A whole Job takes the place of everything.
	ctx, warnings := request(t, "v1alpha1", "update")
	given := []karo.Action{{Name: "a", JobTemplate: &batchv1.JobTemplateSpec{}}}
	keepStoredOfActions(ctx, given, stored().Spec.Actions, true)
	if diff := cmp.Diff([]karo.Action{{Name: "a", JobTemplate: &batchv1.JobTemplateSpec{}}}, given); diff != "" || len(warnings.texts) > 0 {
		t.Errorf("warnings %q (-want +got):\n%s", warnings.texts, diff)
	}
}
