// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package reactionreview

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

func reaction(change func(*karo.AlertReaction)) *karo.AlertReaction {
	r := &karo.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r"},
		Spec: karo.AlertReactionSpec{
			AlertName: "A", When: []karo.When{karo.WhenFiring}, AlertScope: karo.ScopeNamespace, Suspend: new(false), Order: karo.OrderParallel,
			Actions: []karo.Action{
				{Name: "first", Image: "i"},
				{
					Name: "second", Image: "i", ServiceAccount: "remediation", Env: []karo.EnvVar{{Name: "A"}, {Name: "B"}},
					VolumeMounts: []corev1.VolumeMount{{Name: "c", MountPath: "/c"}, {Name: "b", MountPath: "/b"}},
				},
				{Name: "whole", JobTemplate: &batchv1.JobTemplateSpec{}},
			},
			Volumes: []corev1.Volume{{Name: "a"}, {Name: "b"}, {Name: "c"}},
		},
	}
	if change != nil {
		change(r)
	}
	return r
}

// Somebody who may do nothing else has to be able to stop a reaction at night; whoever starts one again answers for it.
func TestIsHarmless(t *testing.T) {
	suspended := func(r *karo.AlertReaction) { r.Spec.Suspend = new(true) }
	for name, tc := range map[string]struct {
		reaction *karo.AlertReaction
		old      any
		want     bool
	}{
		"created":             {reaction(nil), nil, false},
		"created, says a nil": {reaction(nil), (*karo.AlertReaction)(nil), false},
		"created, suspended":  {reaction(suspended), nil, false},
		"of another kind":     {reaction(nil), &karo.Execution{}, false},
		"nothing changed":     {reaction(nil), reaction(nil), true},
		"metadata changed": {reaction(func(r *karo.AlertReaction) {
			r.Labels, r.Finalizers, r.OwnerReferences = map[string]string{"a": "b"}, []string{"example.com/f"}, []metav1.OwnerReference{{Name: "o"}}
		}), reaction(nil), true},
		"status changed":        {reaction(func(r *karo.AlertReaction) { r.Status.TriggerCount = 5 }), reaction(nil), true},
		"empty is none":         {reaction(func(r *karo.AlertReaction) { r.Spec.Actions[0].Args = []string{} }), reaction(nil), true},
		"suspended now":         {reaction(suspended), reaction(nil), true},
		"suspended, was unsaid": {reaction(suspended), reaction(func(r *karo.AlertReaction) { r.Spec.Suspend = nil }), true},
		"still suspended":       {reaction(suspended), reaction(suspended), true},
		"resumed":               {reaction(nil), reaction(suspended), false},
		"an argument":           {reaction(func(r *karo.AlertReaction) { r.Spec.Actions[0].Args = []string{"x"} }), reaction(nil), false},
		"a matcher": {reaction(func(r *karo.AlertReaction) {
			r.Spec.Matchers = []karo.Matcher{{Name: "a", Operator: karo.MatchEqual}}
		}), reaction(nil), false},
		"suspended, and another change": {reaction(func(r *karo.AlertReaction) {
			suspended(r)
			r.Spec.Actions[0].Image = "other"
		}), reaction(nil), false},
		"the scope": {reaction(func(r *karo.AlertReaction) { r.Spec.AlertScope = karo.ScopeCluster }), reaction(nil), false},
	} {
		if got := isHarmless(tc.reaction, tc.old); got != tc.want {
			t.Errorf("%s: got %t, want %t", name, got, tc.want)
		}
	}
}

// What the cluster says of a field of the Job is told of the field of the reaction that it comes from.
func TestFieldOf(t *testing.T) {
	spec := &reaction(nil).Spec
	whole := &karo.AlertReactionSpec{JobTemplate: &batchv1.JobTemplateSpec{}}
	const container = "spec.template.spec.containers[0]."
	for _, tc := range []struct {
		spec   *karo.AlertReactionSpec
		action int
		name   string
		want   string
	}{
		{spec, 0, container + "image", "spec.actions[0].image"},
		{spec, 1, container + "resources.limits[cpu]", "spec.actions[1].resources.limits[cpu]"},
		{spec, 1, container + "volumeMounts[1].mountPath", "spec.actions[1].volumeMounts[1].mountPath"},
		{spec, 1, container + "securityContext.runAsUser", "spec.actions[1].securityContext.runAsUser"},
		{spec, 1, container + "envFrom[0].prefix", "spec.actions[1].envFrom[0].prefix"},
		// The variables of Karo are before those of the action.
		{spec, 1, container + "env[5].name", "spec.actions[1].env[0].name"},
		{spec, 1, container + "env[6].valueFrom.secretKeyRef.key", "spec.actions[1].env[1].valueFrom.secretKeyRef.key"},
		{spec, 1, container + "env[6]", "spec.actions[1].env[1]"},
		{spec, 0, "spec.backoffLimit", "spec.actions[0].backoffLimit"},
		{spec, 0, "spec.activeDeadlineSeconds", "spec.actions[0].activeDeadlineSeconds"},
		// The Job has only the volumes that are mounted, in the order of the reaction.
		{spec, 1, "spec.template.spec.volumes[0].emptyDir.sizeLimit", "spec.volumes[1].emptyDir.sizeLimit"},
		{spec, 1, "spec.template.spec.volumes[1]", "spec.volumes[2]"},
		{spec, 1, "spec.template.spec.volumes[2].name", ""},
		{spec, 0, "spec.template.spec.volumes[0].name", ""},
		{spec, 2, "spec.template.spec.containers", "spec.actions[2].jobTemplate.spec.template.spec.containers"},
		{whole, 0, "spec.parallelism", "spec.jobTemplate.spec.parallelism"},
		{spec, 0, "metadata.labels", ""},
		{spec, 0, "spec.template.spec.restartPolicy", ""},
		{spec, 0, "spec.template.spec.containers[1].image", ""},
		{spec, 0, "", ""},
	} {
		actions := jobs.Actions(tc.spec)
		job, err := jobs.Build(sampleOf(reaction(nil)), tc.spec, &actions[tc.action])
		if err != nil {
			t.Fatal(err)
		}
		if got := fieldOf(tc.name, job, tc.spec, tc.action); got != tc.want {
			t.Errorf("%s of action %d: got %q, want %q", tc.name, tc.action, got, tc.want)
		}
	}
}

func invalid(causes ...metav1.StatusCause) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: "Job is invalid",
		Details: &metav1.StatusDetails{Causes: causes},
	}}
}

func TestTranslate(t *testing.T) {
	spec := &reaction(nil).Spec
	job, err := jobs.Build(sampleOf(reaction(nil)), spec, &spec.Actions[1])
	if err != nil {
		t.Fatal(err)
	}
	const refuses = "the cluster refuses the Job: "
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"a field of the action": {
			invalid(metav1.StatusCause{Field: "spec.template.spec.containers[0].env[6].name", Message: "no name"}),
			[]string{"spec.actions[1].env[1].name: " + refuses + "no name"},
		},
		"what comes of no field": {
			invalid(metav1.StatusCause{Field: "spec.completionMode", Message: "bad mode"}),
			[]string{"spec.actions[1]: " + refuses + "bad mode (spec.completionMode)"},
		},
		"several": {
			invalid(metav1.StatusCause{Field: "spec.backoffLimit", Message: "too low"}, metav1.StatusCause{Field: "spec.template.spec.volumes[0].name", Message: "twice"}),
			[]string{"spec.actions[1].backoffLimit: " + refuses + "too low", "spec.volumes[1].name: " + refuses + "twice"},
		},
		"no cause":       {invalid(), []string{"spec.actions[1]: " + refuses + "Job is invalid"}},
		"no status":      {errors.New("no"), []string{"spec.actions[1]: " + refuses + "no"}},
		"nothing of why": {&apierrors.StatusError{ErrStatus: metav1.Status{Message: "no"}}, []string{"spec.actions[1]: " + refuses + "no"}},
	} {
		var got []string
		for _, err := range translate(tc.err, job, spec, 1) {
			got = append(got, err.Field+": "+err.Detail)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

// recorder keeps the warnings that a user would be given. The Jobs are tried at once.
type recorder struct {
	lock  sync.Mutex
	texts []string
}

func (r *recorder) AddWarning(_, text string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.texts = append(r.texts, text)
}

// review asks the plugin about a reaction that Bob writes, in a fake cluster that answers to Jobs of actions, by name.
func review(t *testing.T, r *karo.AlertReaction, old runtime.Object, allow func(authorizer.Attributes) bool, answers map[string]error) (warnings []string, tried int, err error) {
	t.Helper()
	client := fake.NewClientset()
	var lock sync.Mutex
	client.PrependReactor("create", "jobs", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create := action.(clienttesting.CreateActionImpl)
		job := create.GetObject().(*batchv1.Job)
		lock.Lock()
		defer lock.Unlock()
		tried++
		if !slices.Equal(create.CreateOptions.DryRun, []string{metav1.DryRunAll}) {
			t.Errorf("job %s was created", job.Name)
		}
		return true, job, answers[job.Labels[karo.LabelActionName]]
	})
	p := &plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
	if p.ValidateInitialization() == nil {
		t.Error("it works without an authorizer")
	}
	p.SetAuthorizer(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if allow(a) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	}))
	NewInitializer(client).Initialize(p)
	if err := p.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	operation := admission.Create
	if old != nil {
		operation = admission.Update
	}
	given := &recorder{}
	attributes := admission.NewAttributesRecord(r, old, schema.GroupVersionKind{Kind: "AlertReaction"}, "ns", r.Name,
		karo.Resource("alertreactions").WithVersion("v1"), "", operation, nil, false, &user.DefaultInfo{Name: "bob"})
	err = p.Validate(warning.WithWarningRecorder(t.Context(), given), attributes, nil)
	slices.Sort(given.texts)
	return given.texts, tried, err
}

func everything(authorizer.Attributes) bool { return true }
func nothing(authorizer.Attributes) bool    { return false }
func jobsOnly(a authorizer.Attributes) bool {
	return a.GetVerb() == "create" && a.GetAPIGroup() == "batch" && a.GetResource() == "jobs" && a.GetNamespace() == "ns" && a.GetName() == ""
}

// Nobody gains a right by writing a reaction.
func TestRights(t *testing.T) {
	cluster := func(r *karo.AlertReaction) { r.Spec.AlertScope = karo.ScopeCluster }
	for name, tc := range map[string]struct {
		reaction *karo.AlertReaction
		old      runtime.Object
		allow    func(authorizer.Attributes) bool
		want     string // What is missing.
	}{
		"create":                       {reaction(nil), nil, jobsOnly, ""},
		"create, without Jobs":         {reaction(nil), nil, nothing, "create jobs.batch -n ns"},
		"create, cluster":              {reaction(cluster), nil, everything, ""},
		"create, cluster, Jobs alone":  {reaction(cluster), nil, jobsOnly, "create clusteralerts.karo.io/trigger"},
		"update, without Jobs":         {reaction(func(r *karo.AlertReaction) { r.Spec.AlertName = "B" }), reaction(nil), nothing, "create jobs.batch -n ns"},
		"update, of a cluster's":       {reaction(func(r *karo.AlertReaction) { cluster(r); r.Spec.AlertName = "B" }), reaction(cluster), jobsOnly, "create clusteralerts.karo.io/trigger"},
		"update, to the namespace":     {reaction(nil), reaction(cluster), jobsOnly, ""},
		"suspend":                      {reaction(func(r *karo.AlertReaction) { r.Spec.Suspend = new(true) }), reaction(nil), nothing, ""},
		"finalizers":                   {reaction(func(r *karo.AlertReaction) { r.Finalizers = []string{"example.com/f"} }), reaction(nil), nothing, ""},
		"of one that is being deleted": {reaction(func(r *karo.AlertReaction) { r.DeletionTimestamp = &metav1.Time{}; r.Spec.AlertName = "B" }), reaction(nil), nothing, ""},
	} {
		_, tried, err := review(t, tc.reaction, tc.old, tc.allow, nil)
		if tc.want == "" && err != nil || tc.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `user "bob" lacks the right "`+tc.want+`"`)) {
			t.Errorf("%s: got error %v, want that %q is missing", name, err, tc.want)
		}
		if tc.want != "" && tried > 0 {
			t.Errorf("%s: the Jobs were tried for somebody without the right to create them", name)
		}
	}
}

// What can never be a Job is refused; what may be mended until an alert comes is a warning.
func TestTryJobs(t *testing.T) {
	ofJobs := schema.GroupResource{Group: "batch", Resource: "jobs"}
	const noAccount = `spec.actions[1]: the ServiceAccount "remediation" does not exist; the action waits until it does`
	warnings, tried, err := review(t, reaction(nil), nil, everything, nil)
	if err != nil || tried != 3 || !slices.Equal(warnings, []string{noAccount}) {
		t.Errorf("got %d Jobs tried, warnings %q and error %v", tried, warnings, err)
	}
	warnings, _, err = review(t, reaction(nil), nil, everything, map[string]error{
		"first": apierrors.NewForbidden(ofJobs, "j", errors.New("exceeded quota")), "whole": context.DeadlineExceeded,
	})
	want := []string{
		`spec.actions[0]: the cluster would not take the Job now: jobs.batch "j" is forbidden: exceeded quota`, noAccount,
		`spec.actions[2]: the cluster would not take the Job now: context deadline exceeded`,
	}
	if diff := cmp.Diff(want, warnings); err != nil || diff != "" {
		t.Errorf("got error %v (-want +got):\n%s", err, diff)
	}
	_, _, err = review(t, reaction(nil), nil, everything, map[string]error{
		"second": invalid(metav1.StatusCause{Field: "spec.template.spec.containers[0].image", Message: "bad image"}),
	})
	if !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), "spec.actions[1].image: Invalid value: the cluster refuses the Job: bad image") {
		t.Errorf("got error %v, want it refused", err)
	}
	if _, tried, _ = review(t, reaction(func(r *karo.AlertReaction) { r.Labels = map[string]string{"a": "b"} }), reaction(nil), everything, nil); tried > 0 {
		t.Error("the Jobs were tried though the spec did not change")
	}
}

// A reaction that is to be given a name has none yet.
func TestSampleName(t *testing.T) {
	for want, meta := range map[string]metav1.ObjectMeta{"r": {Name: "r", GenerateName: "g-"}, "g-sample": {GenerateName: "g-"}} {
		if got := sampleName(&karo.AlertReaction{ObjectMeta: meta}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
