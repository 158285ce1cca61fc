// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"karo.io/karo/pkg/matching"
)

// namespaces knows the namespaces of the cluster.
type namespaces struct {
	lister corelisters.NamespaceLister
	client kubernetes.Interface
}

// Get returns a namespace. One that the cache lacks may be new, and one that goes may be gone and there again, so the
// cluster is asked before either is said.
func (n *namespaces) Get(ctx context.Context, name string) (*corev1.Namespace, error) {
	namespace, err := n.lister.Get(name)
	if apierrors.IsNotFound(err) || err == nil && namespace.DeletionTimestamp != nil {
		return n.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	}
	return namespace, err
}

// Lives reports whether a namespace is not known to be going. One that the cache lacks is new, or has gone with
// everything in it.
func (n *namespaces) Lives(name string) bool {
	namespace, err := n.lister.Get(name)
	return err != nil || namespace.DeletionTimestamp == nil
}

// liveness implements memory.Liveness.
type liveness struct {
	index      *matching.Index
	namespaces *namespaces
}

func (l liveness) ReactionLives(namespace, name string, uid types.UID) bool {
	return l.index.Exists(namespace, name, uid)
}

func (l liveness) NamespaceLives(namespace string) bool {
	return l.namespaces.Lives(namespace)
}
