// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http"
	"regexp"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/metrics"
)

var notificationPath = regexp.MustCompile(`^/apis/karo\.io/[^/]+/(namespaces/[^/]+/alerts|clusteralerts)/(trigger|simulate)/?$`)

// guardNotifications keeps notifications from being lost to an answer that Alertmanager does not repeat them after:
// it repeats them after a status of 500 and above only.
//
// Until ready, a server that cannot tell yet who asks, or what there is, would answer 401 or 404. And 429, with which
// every filter of an API server says that it is busy, would be taken for a refusal.
func guardNotifications(handler http.Handler, ready func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		match := notificationPath.FindStringSubmatch(req.URL.Path)
		if match == nil {
			handler.ServeHTTP(w, req)
			return
		}
		answer := &busyWriter{ResponseWriter: w, status: http.StatusOK}
		w = answer
		if match[2] == "trigger" {
			defer func() { metrics.NotificationAnswered(answer.status) }()
		}
		if err := ready(); err != nil {
			metrics.Unavailable("starting")
			unavailable := apierrors.NewServiceUnavailable("not ready yet, try again: " + err.Error())
			responsewriters.ErrorNegotiated(unavailable, Codecs, schema.GroupVersion{Group: karo.GroupName}, w, req)
			return
		}
		handler.ServeHTTP(w, req)
	})
}

// busyWriter answers 503 in the place of 429. A body that says 429 stays: only the status line counts for the sender.
type busyWriter struct {
	http.ResponseWriter
	status int // of the answer, for the metrics
}

func (w *busyWriter) WriteHeader(status int) {
	if status == http.StatusTooManyRequests {
		status = http.StatusServiceUnavailable
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController, and the filters of the generic server, reach the connection.
func (w *busyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
