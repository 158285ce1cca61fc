// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/metrics"
	"karo.io/karo/pkg/notification"
)

const (
	// Trigger is the name that Alertmanager posts to.
	Trigger = "trigger"
	// Simulate is the name that answers like Trigger and stores nothing.
	Simulate = "simulate"

	// MaxBodyBytes is the size of the largest notification.
	MaxBodyBytes = 64 << 20
	// maxSimulateBytes is that of the largest to simulate, whose answer is much larger than itself.
	maxSimulateBytes = 256 << 10
	// answerWithin is how long a notification may take to be read and stored before its sender is told to try again; what
	// is stored by then is known the next time. With the time that it may have waited for its turn it is less than the 15 s
	// after which the next Alertmanager of a cluster sends the same. The answer may take as long again to be taken.
	answerWithin = 10 * time.Second
)

// Handler takes notifications for a namespace or, if that is "", for all. Errors are those of the API.
type Handler interface {
	Trigger(ctx context.Context, namespace string, n *notification.Notification) (*karo.AlertNotificationResult, error)
	Simulate(ctx context.Context, namespace string, n *notification.Notification) (*karo.AlertNotificationResult, error)
}

// NotificationREST takes notifications. It reads the body as a stream, which a rest.Creater could not, and so is not
// bound to the size that an object may have.
type NotificationREST struct {
	Handler Handler
	// Limiter bounds what is in memory at a time, and Simulations what is of notifications to simulate, so that whoever
	// simulates takes no place of what is to be stored.
	Limiter, Simulations *Limiter
	// Resource is what a name that is neither Trigger nor Simulate is not found in.
	Resource string
}

// ConnectMethods implements rest.Connecter.
func (*NotificationREST) ConnectMethods() []string { return []string{http.MethodPost} }

// NewConnectOptions implements rest.Connecter. There are no options.
func (*NotificationREST) NewConnectOptions() (runtime.Object, bool, string) { return nil, false, "" }

// Connect implements rest.Connecter.
func (r *NotificationREST) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	handle, limit, limiter := r.Handler.Trigger, int64(MaxBodyBytes), r.Limiter
	switch name {
	case Trigger:
	case Simulate:
		handle, limit, limiter = r.Handler.Simulate, maxSimulateBytes, r.Simulations
	default:
		return nil, apierrors.NewMethodNotSupported(karo.Resource(r.Resource), "create")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		release, err := limiter.acquire(ctx, req, limit)
		if err != nil {
			metrics.Unavailable("waiting for its turn")
			responder.Error(err)
			return
		}
		defer release()
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		// Who sends or reads slowly must not hold a place for long. Without a connection, as in a test, there is no deadline.
		conn, deadline := http.NewResponseController(w), time.Now().Add(answerWithin)
		_ = conn.SetReadDeadline(deadline)
		_ = conn.SetWriteDeadline(deadline.Add(answerWithin))
		n, err := notification.Decode(http.MaxBytesReader(w, req.Body, limit))
		if err != nil {
			responder.Error(bodyError(err))
			return
		}
		result, err := handle(ctx, genericapirequest.NamespaceValue(ctx), n)
		if err != nil {
			responder.Error(err)
			return
		}
		responder.Object(http.StatusOK, result)
	}), nil
}

// bodyError says what is wrong with a body. What the body is not at fault for may be tried again.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	var syntax *notification.SyntaxError
	switch {
	case errors.Is(err, notification.ErrTooManyAlerts):
		return apierrors.NewRequestEntityTooLargeError(err.Error())
	case errors.As(err, &tooLarge):
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("a notification has at most %d bytes", tooLarge.Limit))
	case errors.As(err, &syntax):
		return apierrors.NewBadRequest(err.Error())
	default:
		metrics.Unavailable("reading the notification")
		return apierrors.NewServiceUnavailable(fmt.Sprintf("reading the notification failed, try again: %v", err))
	}
}

// ClusterREST takes notifications for the reactions of all namespaces.
type ClusterREST struct {
	*NotificationREST
}

var _ interface {
	rest.Connecter
	rest.Scoper
	rest.SingularNameProvider
} = (*ClusterREST)(nil)

// New implements rest.Storage.
func (*ClusterREST) New() runtime.Object { return &karo.ClusterAlertNotification{} }

// Destroy implements rest.Storage.
func (*ClusterREST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*ClusterREST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (*ClusterREST) GetSingularName() string { return "clusteralert" }
