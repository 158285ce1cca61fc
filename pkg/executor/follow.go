// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/retryqueue"
)

const (
	byJob = "job"
	// podPatience is how long the controller of a Job may take to create a pod before it is asked why there is none.
	podPatience = 5 * time.Second
	// failedCreate is the reason of the event of a Job whose pods are refused.
	failedCreate = "FailedCreate"
)

func podIndexers() cache.Indexers {
	return cache.Indexers{byJob: func(obj any) ([]string, error) {
		if owner := metav1.GetControllerOf(obj.(*corev1.Pod)); owner != nil {
			return []string{string(owner.UID)}, nil
		}
		return nil, nil
	}}
}

// statusOnly drops what is not needed of a Job or a pod before it is kept.
func statusOnly(obj any) (any, error) {
	switch obj := obj.(type) {
	case *batchv1.Job:
		obj.ManagedFields, obj.Annotations, obj.Spec.Template = nil, nil, corev1.PodTemplateSpec{}
	case *corev1.Pod:
		obj.ManagedFields, obj.Annotations, obj.Spec = nil, nil, corev1.PodSpec{}
	}
	return obj, nil
}

// followJob takes over how the Job of an action ended, if it has, and else what it waits for.
func (x *term) followJob(ctx context.Context, e *karo.Execution, status *karo.ActionStatus) error {
	job, err := x.job(ctx, e, status)
	if err != nil {
		return err
	}
	if job == nil {
		fail(status, reasonJobGone, fmt.Sprintf("job %s was deleted before its end was stored", status.JobName))
		return nil
	}
	ended := jobEnd(job)
	if ended == nil {
		pod := x.lastPod(job)
		reason, message := waitingFor(pod)
		if pod == nil && status.Reason == failedCreate {
			return nil // A pod, once there is one, tells.
		}
		if pod == nil {
			reason, message = x.refusedPods(ctx, e, job)
		}
		// A reason that comes again with another message is not written again: some count seconds.
		if reason != status.Reason {
			status.Reason, status.Message = reason, message
		}
		return nil
	}
	outcome, err := x.outcome(ctx, job, ended.Type)
	if err != nil {
		return err
	}
	status.CompletionTime = ended.LastTransitionTime.DeepCopy()
	status.ExitCode = outcome.exitCode
	if ended.Type == batchv1.JobComplete {
		status.Phase, status.Reason, status.Message = karo.PhaseSucceeded, "", ""
		return nil
	}
	status.Phase, status.Reason, status.Message = karo.PhaseFailed, ended.Reason, outcome.message
	if status.Message == "" {
		status.Message = ended.Message
	}
	return nil
}

// job returns the Job of an action, or nil when it is gone for certain. A Job of that name that is not the one that
// was recorded, or does not belong to the Execution, is not it.
func (x *term) job(ctx context.Context, e *karo.Execution, status *karo.ActionStatus) (*batchv1.Job, error) {
	job, err := x.jobs.Jobs(e.Namespace).Get(status.JobName)
	if err == nil && job.UID == status.JobUID && metav1.IsControlledBy(job, e) {
		return job, nil
	}
	if made, ok := x.made.Load(status.JobUID); ok {
		made := made.(*madeJob)
		if left := madeFor - time.Since(made.at); left > 0 {
			x.queue.AddAfter(types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, left)
			return made.Job, nil
		}
		x.made.Delete(status.JobUID)
	}
	// The informer may be behind.
	job, err = x.client.BatchV1().Jobs(e.Namespace).Get(ctx, status.JobName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading job %s: %w", status.JobName, err)
	}
	if job.UID != status.JobUID || !metav1.IsControlledBy(job, e) {
		return nil, nil
	}
	// Somebody may have taken our label from it, so that no event of it will reach us.
	x.queue.AddAfter(types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, retryqueue.Max)
	return job, nil
}

// jobEnd returns the condition that says that a Job has ended, or nil.
func jobEnd(job *batchv1.Job) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return c
		}
	}
	return nil
}

// lastPod returns the latest pod of a Job that the informer knows, or nil.
func (x *term) lastPod(job *batchv1.Job) *corev1.Pod {
	return latest(job, x.podsOf(job), "")
}

func (x *term) podsOf(job *batchv1.Job) []*corev1.Pod {
	objs, err := x.pods.ByIndex(byJob, string(job.UID))
	if err != nil {
		return nil // Only an index that does not exist is an error.
	}
	pods := make([]*corev1.Pod, 0, len(objs))
	for _, obj := range objs {
		pods = append(pods, obj.(*corev1.Pod))
	}
	return pods
}

// latest returns the pod of a Job that was created last, of those in a phase if there are any: of several pods at once,
// those that were stopped when one failed do not say why.
func latest(job *batchv1.Job, pods []*corev1.Pod, phase corev1.PodPhase) *corev1.Pod {
	var last *corev1.Pod
	for _, pod := range pods {
		if !metav1.IsControlledBy(pod, job) {
			continue
		}
		if last == nil || cmp.Or(
			cmp.Compare(matches(pod, phase), matches(last, phase)),
			pod.CreationTimestamp.Compare(last.CreationTimestamp.Time),
			cmp.Compare(pod.Name, last.Name),
		) > 0 {
			last = pod
		}
	}
	return last
}

func stillRuns(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

func matches(pod *corev1.Pod, phase corev1.PodPhase) int {
	if pod.Status.Phase == phase {
		return 1
	}
	return 0
}

// refusedPods returns why a Job has no pod though its controller has begun with it: an admission of the cluster, or a
// quota, may refuse the pods of a Job that it took. Only an event of the Job says so, and nothing tells when there is
// one, so that it is looked for again, ever less often.
func (x *term) refusedPods(ctx context.Context, e *karo.Execution, job *batchv1.Job) (reason, message string) {
	age := time.Since(job.CreationTimestamp.Time)
	x.queue.AddAfter(types.NamespacedName{Namespace: e.Namespace, Name: e.Name}, max(age, podPatience))
	if age < podPatience || job.Status.StartTime == nil {
		return "", ""
	}
	message, refused := x.refusals.of(ctx, x.client, job)
	if !refused {
		return "", ""
	}
	return failedCreate, message
}

// refusals knows which Jobs have their pods refused. Events cannot be looked up cheaply, so that those of a namespace are
// read at once, and not often.
type refusals struct {
	lock       sync.Mutex
	namespaces map[string]*refusedIn
}

type refusedIn struct {
	asked    time.Time
	messages map[types.UID]string
}

func (r *refusals) of(ctx context.Context, client kubernetes.Interface, job *batchv1.Job) (message string, refused bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	in := r.namespaces[job.Namespace]
	if in == nil || time.Since(in.asked) > podPatience {
		in = &refusedIn{asked: time.Now(), messages: map[types.UID]string{}}
		events, err := client.CoreV1().Events(job.Namespace).List(ctx, metav1.ListOptions{
			FieldSelector: fields.Set{"involvedObject.kind": "Job", "reason": failedCreate}.String(),
		})
		if err != nil {
			// The Job goes on, or does not, whether or not it can be said why.
			klog.FromContext(ctx).Error(err, "Cannot tell why Jobs have no pods", "namespace", job.Namespace)
			events = &corev1.EventList{}
		}
		for i := range events.Items {
			in.messages[events.Items[i].InvolvedObject.UID] = events.Items[i].Message
		}
		if r.namespaces == nil {
			r.namespaces = map[string]*refusedIn{}
		}
		r.namespaces[job.Namespace] = in
	}
	message, refused = in.messages[job.UID]
	return message, refused
}

// waitingFor returns why a pod has not started, when it is more than that it is about to. The words are the cluster's.
func waitingFor(pod *corev1.Pod) (reason, message string) {
	if pod == nil {
		return "", ""
	}
	for _, containers := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range containers {
			waiting := containers[i].State.Waiting
			if waiting != nil && waiting.Reason != "" && waiting.Reason != "ContainerCreating" && waiting.Reason != "PodInitializing" {
				return waiting.Reason, waiting.Message
			}
		}
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason, c.Message
		}
	}
	return "", ""
}

type outcome struct {
	exitCode *int32
	message  string
}

// outcome reads from the last pod of a Job, of those that ended as the Job did, how its container ended. The kubelet puts
// the last log lines of a container that failed into its termination message.
func (x *term) outcome(ctx context.Context, job *batchv1.Job, end batchv1.JobConditionType) (outcome, error) {
	phase := corev1.PodSucceeded
	if end == batchv1.JobFailed {
		phase = corev1.PodFailed
	}
	known := x.podsOf(job)
	last := latest(job, known, phase)
	if last == nil || outcomeOf(last).exitCode == nil || slices.ContainsFunc(known, stillRuns) {
		// The Job is ahead of the pods in their informers.
		pods, err := x.client.CoreV1().Pods(job.Namespace).List(ctx, metav1.ListOptions{
			LabelSelector: batchv1.ControllerUidLabel + "=" + string(job.UID),
		})
		if err != nil {
			return outcome{}, fmt.Errorf("listing the pods of job %s: %w", job.Name, err)
		}
		listed := make([]*corev1.Pod, 0, len(pods.Items))
		for i := range pods.Items {
			listed = append(listed, &pods.Items[i])
		}
		if there := latest(job, listed, phase); there != nil {
			last = there
		}
	}
	if last == nil {
		return outcome{}, nil
	}
	return outcomeOf(last), nil
}

// outcomeOf returns how the first container of a pod ended that failed, or else the last one. Those that come before the
// others count only when these did not run: some of them are stopped at the end, and say so by their exit code.
func outcomeOf(pod *corev1.Pod) outcome {
	for _, containers := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		result := outcome{}
		for i := range containers {
			if ended := containers[i].State.Terminated; ended != nil {
				result = outcome{exitCode: &ended.ExitCode, message: ended.Message}
				if ended.ExitCode != 0 {
					return result
				}
			}
		}
		if result.exitCode != nil {
			return result
		}
	}
	return outcome{message: pod.Status.Message}
}
