// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package servingcert makes the certificate that Karo serves with when none is given. It is in a Secret, which all replicas
// share, together with the authority that signed it. The kube-apiserver learns from caBundle of Karo's APIServices whom to
// trust. Both are replaced long before they end, and as long as what is served is valid, nothing else is served before the
// kube-apiserver has been told to trust it.
package servingcert

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/retryqueue"
)

const (
	// SecretName is the name of the Secret.
	SecretName = "karo-serving-cert" //nolint:gosec // It is a name.
	// serviceName is the name of the Service as the manifests have it, for a certificate before there is an APIService.
	serviceName = "karo"
	// settle is how long the kube-apiserver may take to learn of a caBundle.
	settle = 30 * time.Second
	// checkInterval is how often what ends with time is looked after. What changes is looked after at once.
	checkInterval = settle
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// Manager keeps the Secret and the APIServices right, and serves what the Secret holds.
type Manager struct {
	client    kubernetes.Interface
	services  dynamic.Interface
	namespace string
	// names are those of Karo's APIServices.
	names []string
	clock clock.PassiveClock

	lock      sync.Mutex
	serving   *material
	listeners []dynamiccertificates.Listener
	// trustedSince is since when all APIServices have an authority, by what it is.
	trustedSince map[string]time.Time
}

var _ dynamiccertificates.CertKeyContentProvider = (*Manager)(nil)

// New returns the Manager of the Secret in a namespace, and of the APIServices of some names.
func New(client kubernetes.Interface, services dynamic.Interface, namespace string, names ...string) *Manager {
	return &Manager{client: client, services: services, namespace: namespace, names: names, clock: clock.RealClock{}, trustedSince: map[string]time.Time{}}
}

// Name implements dynamiccertificates.CertKeyContentProvider.
func (m *Manager) Name() string { return fmt.Sprintf("secret/%s/%s", m.namespace, SecretName) }

// AddListener implements dynamiccertificates.CertKeyContentProvider.
func (m *Manager) AddListener(listener dynamiccertificates.Listener) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.listeners = append(m.listeners, listener)
}

// CurrentCertKeyContent implements dynamiccertificates.CertKeyContentProvider.
func (m *Manager) CurrentCertKeyContent() (certificate, key []byte) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.serving == nil {
		return nil, nil
	}
	return m.serving.serving.Cert, m.serving.serving.Key
}

// Sync makes the Secret right, serves what it holds, and makes the APIServices right.
func (m *Manager) Sync(ctx context.Context) error {
	services, err := m.registered(ctx)
	if err != nil {
		return err
	}
	var made *material
	// What another replica has written meanwhile is taken.
	err = retry.OnError(retry.DefaultBackoff, func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }, func() error {
		made, err = m.syncSecret(ctx, services)
		return err
	})
	if err != nil {
		return err
	}
	m.serve(made)
	bundle, err := made.bundle()
	if err != nil {
		return err
	}
	told := false
	var errs []error
	for _, service := range services {
		if !bytes.Equal(service.bundle, bundle) {
			told = true
			errs = append(errs, m.tell(ctx, service, bundle))
		}
	}
	m.lock.Lock()
	defer m.lock.Unlock()
	known := map[string]time.Time{}
	for _, ca := range made.trusted {
		since, ok := m.trustedSince[string(ca.Raw)]
		if !ok || told {
			since = m.clock.Now()
		}
		known[string(ca.Raw)] = since
	}
	m.trustedSince = known
	return errors.Join(errs...)
}

// service is where an APIService says that it is served.
type service struct {
	name, host, resourceVersion string
	bundle                      []byte
}

// registered returns our APIServices. One that is not served in this namespace is another's, and one whose certificate is
// not to be verified needs nothing.
func (m *Manager) registered(ctx context.Context) ([]service, error) {
	var found []service
	for _, name := range m.names {
		obj, err := m.services.Resource(apiServices).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading APIService %s: %w", name, err)
		}
		var of struct {
			Spec struct {
				Service *struct {
					Namespace string `json:"namespace"`
					Name      string `json:"name"`
				} `json:"service"`
				CABundle              []byte `json:"caBundle"`
				InsecureSkipTLSVerify bool   `json:"insecureSkipTLSVerify"`
			} `json:"spec"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &of); err != nil {
			return nil, fmt.Errorf("APIService %s: %w", name, err)
		}
		if of.Spec.Service == nil || of.Spec.Service.Namespace != m.namespace || of.Spec.InsecureSkipTLSVerify {
			continue
		}
		found = append(found, service{name: name, host: hostOf(of.Spec.Service.Name, m.namespace), resourceVersion: obj.GetResourceVersion(), bundle: of.Spec.CABundle})
	}
	return found, nil
}

// hostOf is the name by which the kube-apiserver knows the server behind a Service.
func hostOf(name, namespace string) string { return name + "." + namespace + ".svc" }

// syncSecret makes the Secret right, and returns what it holds.
func (m *Manager) syncSecret(ctx context.Context, services []service) (*material, error) {
	hosts := sets.New(hostOf(serviceName, m.namespace))
	for _, s := range services {
		hosts.Insert(s.host)
	}
	client := m.client.CoreV1().Secrets(m.namespace)
	secret, err := client.Get(ctx, SecretName, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("reading secret %s/%s: %w", m.namespace, SecretName, err)
	}
	stored, reason := (*material)(nil), "there is no Secret"
	if !missing {
		if stored, err = parse(secret.Data); err != nil {
			reason = "the Secret does not hold what it should: " + err.Error()
		}
		if err != nil && secret.Labels[karo.LabelManagedBy] != karo.ManagedBy {
			return nil, fmt.Errorf("secret %s/%s is not Karo's: it lacks the label %s=%s and does not hold what it should, %w; remove it, or give --tls-cert-file",
				m.namespace, SecretName, karo.LabelManagedBy, karo.ManagedBy, err)
		}
	}
	m.lock.Lock()
	current := stored
	if current == nil {
		current = m.serving // The kube-apiserver trusts that already.
	}
	made, why, err := next(current, sets.List(hosts), m.isTrusted(services), m.clock.Now())
	m.lock.Unlock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("making a certificate: %w", err)
	case made == nil && stored != nil:
		return stored, nil
	case made == nil:
		made = current
	case stored != nil:
		reason = why
	}
	data, err := made.data()
	if err != nil {
		return nil, err
	}
	if missing {
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: SecretName, Labels: map[string]string{karo.LabelManagedBy: karo.ManagedBy}},
			Type:       corev1.SecretTypeTLS, Data: data,
		}
		_, err = client.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		secret.Data = data
		_, err = client.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("writing secret %s/%s: %w", m.namespace, SecretName, err)
	}
	klog.FromContext(ctx).Info("Made a serving certificate", "secret", klog.KRef(m.namespace, SecretName), "reason", reason, "names", made.leaf.DNSNames,
		"notAfter", made.leaf.NotAfter, "authority", made.authority.Certificate.Subject.CommonName, "authorityNotAfter", made.authority.Certificate.NotAfter)
	return made, nil
}

// isTrusted returns whether the kube-apiserver has known for settle that an authority is to be trusted. It is called with the
// lock held.
func (m *Manager) isTrusted(services []service) func(*x509.Certificate) bool {
	return func(ca *x509.Certificate) bool {
		since, ok := m.trustedSince[string(ca.Raw)]
		return len(services) == 0 || ok && m.clock.Since(since) >= settle
	}
}

// serve has new connections served with what the Secret holds.
func (m *Manager) serve(made *material) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if made.equal(m.serving) {
		return
	}
	m.serving = made
	for _, listener := range m.listeners {
		listener.Enqueue()
	}
}

// tell has an APIService say whom to trust, unless it has changed since it was read.
func (m *Manager) tell(ctx context.Context, s service, bundle []byte) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": s.resourceVersion},
		"spec":     map[string]any{"caBundle": bundle},
	})
	if err != nil {
		return err
	}
	if _, err := m.services.Resource(apiServices).Patch(ctx, s.name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "karo-apiserver"}); err != nil {
		return fmt.Errorf("writing caBundle of APIService %s: %w", s.name, err)
	}
	klog.FromContext(ctx).Info("Told the kube-apiserver whom to trust", "apiservice", s.name)
	return nil
}

// Run keeps everything right until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	const key = "all"
	queue := retryqueue.New[string]()
	queue.Add(key)
	changed := cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(any, bool) { queue.Add(key) },
		UpdateFunc: func(_, _ any) { queue.Add(key) },
		DeleteFunc: func(any) { queue.Add(key) },
	}
	informers := []cache.SharedIndexInformer{coreinformers.NewFilteredSecretInformer(m.client, m.namespace, 0, cache.Indexers{}, named(SecretName))}
	for _, name := range m.names {
		informers = append(informers, dynamicinformer.NewFilteredDynamicInformer(m.services, apiServices, metav1.NamespaceAll, 0, cache.Indexers{}, named(name)).Informer())
	}
	var running sync.WaitGroup
	for _, informer := range informers {
		if _, err := informer.AddEventHandler(changed); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot watch what the serving certificate is made of; looking now and then")
		}
		running.Go(func() { informer.RunWithContext(ctx) })
	}
	running.Go(func() {
		<-ctx.Done()
		queue.ShutDown()
	})
	for {
		_, shutdown := queue.Get()
		if shutdown {
			running.Wait()
			return
		}
		if err := m.Sync(ctx); err != nil {
			if ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "The serving certificate, or who is to trust it, may not be right; will be tried again")
			}
			queue.AddRateLimited(key)
		} else {
			queue.Forget(key)
		}
		queue.AddAfter(key, checkInterval)
		queue.Done(key)
	}
}

func named(name string) func(*metav1.ListOptions) {
	return func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}
