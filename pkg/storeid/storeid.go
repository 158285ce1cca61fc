// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package storeid tells whether the store is the one that the cluster was last served from, as it was left.
//
// A number that is made at random is kept in the store and in the cluster, and is replaced again and again. So a store
// that has gone back in time, was lost, or is that of another cluster, does not have the number of the cluster. A number is
// replaced in the store first, which also keeps the one before: whatever a crash leaves, the cluster has one of the two.
package storeid

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"karo.io/karo/pkg/apis/karo"
)

// ConfigMapName is the name of the ConfigMap that holds what the cluster knows of the store.
const ConfigMapName = "karo-store"

const (
	// prefix and key are where in the store its own part is, beside the resources.
	prefix, key = "/karo", "/karo/store"
	// nonce and previous are the entries of both parts; the cluster has no previous one.
	nonce, previous = "nonce", "previous"
	// tries bounds how often it is tried again when another replica was faster.
	tries = 10
)

const description = "Tells karo-apiserver whether its store is the one that this cluster was last served from. When it is gone, " +
	"or changed by hand, karo-apiserver pauses at its next start."

// ErrChanged is returned when the identity is not as it was any more: another replica was faster.
var ErrChanged = errors.New("the identity of the store has changed meanwhile")

// Mismatch says that the store is not the one that the cluster knows.
type Mismatch struct {
	// ID names this very mismatch. No other one, also not a later one of the same store, has it.
	ID    string
	what  string
	state *state
}

// Error implements error.
func (m *Mismatch) Error() string { return m.what }

// Identity is that of a store, and what a cluster knows of it.
type Identity struct {
	store      storage.Interface
	destroy    func()
	configMaps typedcorev1.ConfigMapInterface
	namespace  string

	lock  sync.Mutex
	known string // the latest number that this process has seen in a store that matched
}

// Open returns the identity of a store, and of what the cluster knows in a namespace.
func Open(config *storagebackend.Config, client kubernetes.Interface, namespace string) (*Identity, error) {
	store, destroy, err := open(config)
	if err != nil {
		return nil, err
	}
	return &Identity{store: store, destroy: destroy, configMaps: client.CoreV1().ConfigMaps(namespace), namespace: namespace}, nil
}

func open(config *storagebackend.Config) (storage.Interface, func(), error) {
	c := config.ForResource(karo.Resource("stores"))
	c.Codec = scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion)
	c.Transformer = identity.NewEncryptCheckTransformer() // It is no secret, and is written also without the keys.
	store, destroy, err := generic.NewRawStorage(c, newPart, func() runtime.Object { return &corev1.ConfigMapList{} }, prefix)
	if err != nil {
		return nil, nil, fmt.Errorf("storage of the identity of the store: %w", err)
	}
	return store, destroy, nil
}

func newPart() runtime.Object { return &corev1.ConfigMap{} }

// Forget has a store match no cluster, until it is accepted.
func Forget(ctx context.Context, config *storagebackend.Config) error {
	store, destroy, err := open(config)
	if err != nil {
		return err
	}
	defer destroy()
	return write(ctx, store, rand.Text(), rand.Text(), nil)
}

// Close releases the connection to the store.
func (i *Identity) Close() { i.destroy() }

// state is what the store and the cluster say.
type state struct {
	nonce, previous string // "" in a store that was never in use
	configMap       *corev1.ConfigMap
}

// cluster returns the number that the cluster knows, or "".
func (s *state) cluster() string {
	if s.configMap == nil {
		return ""
	}
	return s.configMap.Data[nonce]
}

// matches reports whether the cluster knows the store. A store that the cluster does not know yet has no previous number.
func (s *state) matches() bool { return s.cluster() == s.nonce || s.cluster() == s.previous }

func (s *state) mismatch(namespace string) *Mismatch {
	sum := sha256.Sum256([]byte(s.nonce + "/" + s.previous + "/" + s.cluster()))
	m := &Mismatch{ID: hex.EncodeToString(sum[:8]), state: s}
	switch {
	case s.nonce == "":
		m.what = "the store is empty, and this cluster was served from another one"
	case s.cluster() == "":
		m.what = fmt.Sprintf("the store, or this cluster, has been in use, and the cluster, without the ConfigMap %s/%s, does not know it", namespace, ConfigMapName)
	default:
		m.what = "the store is not the one that this cluster was last served from, or it is an earlier state of that one"
	}
	return m
}

// Disown has a store that was never in use match no cluster, when this one knows none either and used tells that it was
// served from one all the same.
func (i *Identity) Disown(ctx context.Context, used func(context.Context) (bool, error)) error {
	s, err := i.look(ctx)
	if err != nil || s.nonce != "" || s.previous != "" || s.cluster() != "" {
		return err
	}
	if was, err := used(ctx); err != nil || !was {
		return err
	}
	return write(ctx, i.store, rand.Text(), rand.Text(), s)
}

// Verify returns a Mismatch if the store is not the one that the cluster knows.
func (i *Identity) Verify(ctx context.Context) error {
	_, err := i.verify(ctx)
	return err
}

func (i *Identity) verify(ctx context.Context) (*state, error) {
	s, err := i.look(ctx)
	if err != nil {
		return nil, err
	}
	i.lock.Lock()
	defer i.lock.Unlock()
	// A ConfigMap that somebody deletes says nothing against a store that this process knows.
	knows := s.configMap == nil && i.known != "" && (i.known == s.nonce || i.known == s.previous)
	if !knows && !s.matches() {
		return nil, s.mismatch(i.namespace)
	}
	i.known = s.nonce
	return s, nil
}

// look reads both parts as they are at one moment.
func (i *Identity) look(ctx context.Context) (*state, error) {
	configMap, err := i.configMap(ctx)
	if err != nil {
		return nil, err
	}
	for {
		part := &corev1.ConfigMap{}
		if err := i.store.Get(ctx, key, storage.GetOptions{IgnoreNotFound: true}, part); err != nil {
			return nil, fmt.Errorf("reading the identity of the store: %w", err)
		}
		s := &state{nonce: part.Data[nonce], previous: part.Data[previous], configMap: configMap}
		if s.matches() {
			return s, nil
		}
		// Another replica may have moved on between the two.
		again, err := i.configMap(ctx)
		if err != nil {
			return nil, err
		}
		if versionOf(again) == versionOf(configMap) {
			return s, nil
		}
		configMap = again
	}
}

func versionOf(configMap *corev1.ConfigMap) string {
	if configMap == nil {
		return ""
	}
	return configMap.ResourceVersion
}

// configMap reads what the cluster knows, nil if that is nothing.
func (i *Identity) configMap(ctx context.Context) (*corev1.ConfigMap, error) {
	configMap, err := i.configMaps.Get(ctx, ConfigMapName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the cluster knows of the store, in ConfigMap %s/%s: %w", i.namespace, ConfigMapName, err)
	}
	return configMap, nil
}

// Advance replaces the number, so that from now on an earlier state of the store is known for one. It returns a Mismatch
// if the store is not the one that the cluster knows. One that was never in use becomes that of a cluster that knows none.
func (i *Identity) Advance(ctx context.Context) error {
	for range tries {
		s, err := i.verify(ctx)
		if err != nil {
			return err
		}
		if err := i.advance(ctx, s); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return ErrChanged
}

func (i *Identity) advance(ctx context.Context, s *state) error {
	// First what a crash, or somebody, has left undone: the number that the cluster has must stay one of the two.
	if s.cluster() != s.nonce {
		configMap, err := i.tell(ctx, s.configMap, s.nonce)
		if err != nil {
			return err
		}
		s.configMap = configMap
	}
	return i.replace(ctx, s)
}

// Accept makes a store that did not match the one that the cluster knows. It returns ErrChanged if the mismatch is not
// the same any more.
func (i *Identity) Accept(ctx context.Context, m *Mismatch) error { return i.replace(ctx, m.state) }

// replace replaces the number, from a state in which the cluster has the number that becomes the previous one.
func (i *Identity) replace(ctx context.Context, s *state) error {
	next := rand.Text()
	if err := write(ctx, i.store, next, s.cluster(), s); err != nil {
		return err
	}
	i.lock.Lock()
	i.known = next
	i.lock.Unlock()
	_, err := i.tell(ctx, s.configMap, next)
	return err
}

// write replaces the part of the store, if that is still as it was; in any case when before is nil.
func write(ctx context.Context, store storage.Interface, next, last string, before *state) error {
	err := store.GuaranteedUpdate(ctx, key, &corev1.ConfigMap{}, true, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		part := obj.(*corev1.ConfigMap)
		if before != nil && (part.Data[nonce] != before.nonce || part.Data[previous] != before.previous) {
			return nil, ErrChanged
		}
		part.Data = map[string]string{nonce: next, previous: last}
		return part, nil
	}), nil)
	if err != nil {
		return fmt.Errorf("writing the identity of the store: %w", err)
	}
	return nil
}

// tell has the cluster know a number, if what it knows is still as it was.
func (i *Identity) tell(ctx context.Context, before *corev1.ConfigMap, number string) (*corev1.ConfigMap, error) {
	var told *corev1.ConfigMap
	var err error
	if before == nil {
		told, err = i.configMaps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: ConfigMapName, Annotations: map[string]string{"kubernetes.io/description": description}},
			Data:       map[string]string{nonce: number},
		}, metav1.CreateOptions{})
	} else {
		configMap := before.DeepCopy()
		configMap.Data = map[string]string{nonce: number}
		told, err = i.configMaps.Update(ctx, configMap, metav1.UpdateOptions{})
	}
	switch {
	case err == nil:
		return told, nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), before != nil && apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return nil, fmt.Errorf("writing what the cluster knows of the store, to ConfigMap %s/%s: %w", i.namespace, ConfigMapName, err)
}
