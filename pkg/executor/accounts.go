// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// accountsFor is how long a ServiceAccount is taken to exist after it was seen.
const accountsFor = time.Minute

// accounts knows the ServiceAccounts of actions. The cluster takes a Job whose ServiceAccount does not exist, and then
// creates no pod for it, without a word in the Job.
type accounts struct {
	client kubernetes.Interface
	seen   sync.Map // of types.NamespacedName to time.Time
}

// errNoAccount is returned when a ServiceAccount does not exist.
var errNoAccount = errors.New("serviceaccount not found")

// check returns errNoAccount unless a ServiceAccount exists, as far as can be told. Every namespace has the one without a
// name.
func (a *accounts) check(ctx context.Context, namespace, name string) error {
	if name == "" {
		return nil
	}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	if seen, ok := a.seen.Load(key); ok && time.Since(seen.(time.Time)) < accountsFor {
		return nil
	}
	_, err := a.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		a.seen.Delete(key)
		return fmt.Errorf("%w: %q", errNoAccount, name)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Cannot tell whether a ServiceAccount exists", "serviceAccount", key)
		return nil
	}
	a.seen.Store(key, time.Now())
	return nil
}
