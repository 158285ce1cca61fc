// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package events tells users, in Events of the cluster, what Karo did and why. What it says of alerts is escaped: their
// text is data from outside, and Events are read in terminals.
package events

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

const (
	// burst is how many Events of one type, about one kind of object in one namespace, may come at once; a storm of
	// alerts must not become one of Events.
	burst = 100
	// perSecond is how many more may come each second after that.
	perSecond = 1
	// maxQuoted bounds a text in an Event, whose message may have 1,024 characters in all.
	maxQuoted = 240
)

// Recorder records Events.
type Recorder struct {
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
}

// NewRecorder returns a Recorder that writes to a cluster until it is shut down.
func NewRecorder(client kubernetes.Interface) *Recorder {
	broadcaster := record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{
		BurstSize: burst,
		QPS:       perSecond,
		SpamKeyFunc: func(e *corev1.Event) string {
			return e.InvolvedObject.Namespace + "/" + e.InvolvedObject.Kind + "/" + e.Type
		},
	}))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return &Recorder{
		broadcaster: broadcaster,
		recorder:    broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "karo"}),
	}
}

// Shutdown stops recording.
func (r *Recorder) Shutdown() { r.broadcaster.Shutdown() }

// Reaction records an Event about a reaction. The type is Normal or Warning.
func (r *Recorder) Reaction(reaction *karo.AlertReaction, eventType, reason, format string, args ...any) {
	r.recorder.Eventf(reference("AlertReaction", reaction.Namespace, reaction.Name, reaction.UID), eventType, reason, format, args...)
}

// Execution records an Event about an Execution, and the same about its reaction.
func (r *Recorder) Execution(e *karo.Execution, eventType, reason, format string, args ...any) {
	r.recorder.Eventf(reference("Execution", e.Namespace, e.Name, e.UID), eventType, reason, format, args...)
	r.recorder.Eventf(reference("AlertReaction", e.Namespace, e.Spec.Reaction.Name, e.Spec.Reaction.UID), eventType, reason, "Execution "+e.Name+": "+format, args...)
}

func reference(kind, namespace, name string, uid types.UID) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: v1.SchemeGroupVersion.String(), Kind: kind, Namespace: namespace, Name: name, UID: uid}
}

// Namespace records an Event about a namespace.
func (r *Recorder) Namespace(namespace, eventType, reason, format string, args ...any) {
	// An Event is in the namespace that its object is in, and this one is for those who look into this namespace.
	r.recorder.Eventf(&corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Namespace: namespace, Name: namespace},
		eventType, reason, format, args...)
}

// Quote returns a text from outside in quotes, on one line, without anything that a terminal would act on, and not too
// long.
func Quote(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	return strconv.Quote(text)
}
