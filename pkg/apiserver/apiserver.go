// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/cert"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/bookkeeping"
	"karo.io/karo/pkg/caps"
	"karo.io/karo/pkg/embeddedetcd"
	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/executor"
	"karo.io/karo/pkg/ingest"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/metrics"
	"karo.io/karo/pkg/precedence"
	"karo.io/karo/pkg/records"
	karorest "karo.io/karo/pkg/registry/karo/rest"
	"karo.io/karo/pkg/servingcert"
	"karo.io/karo/pkg/storecache"
)

const (
	// jobPatience is how long a Job waits for notifications that are being stored.
	jobPatience = 250 * time.Millisecond
	// booksPatience is how long the books wait for those, and for Jobs.
	booksPatience = 25 * time.Millisecond
)

// ExtraConfig is what Karo needs beside the configuration of every API server.
type ExtraConfig struct {
	// Namespace is where the lease of the executor, and what the cluster knows of the store, are.
	Namespace string
	// AcceptStore is the ID of the mismatch of which the store is taken for the right one all the same.
	AcceptStore string
	// Executor is whether this replica may execute.
	Executor bool
	// ExecutorWorkers is how many Executions are worked on at a time.
	ExecutorWorkers int
	// AlertMemory is how long an Alert is remembered after it was last seen.
	AlertMemory time.Duration
	// MaxReactions and MaxExecutions are how many of each a namespace may have; 0 is no limit.
	MaxReactions, MaxExecutions int
	// Identity is the name of this replica in the lease. Default: a random one.
	Identity string
	// Etcd is the embedded etcd, if that is the store.
	Etcd *embeddedetcd.Server
}

// Config is the configuration of a Server.
type Config struct {
	GenericConfig *genericapiserver.RecommendedConfig
	ExtraConfig   ExtraConfig
}

type completedConfig struct {
	generic genericapiserver.CompletedConfig
	extra   *ExtraConfig
	client  *rest.Config
}

// CompletedConfig can only be made by Config.Complete.
type CompletedConfig struct {
	*completedConfig
}

// Complete fills in what is not set and has a default.
func (c *Config) Complete() CompletedConfig {
	if c.ExtraConfig.Identity == "" {
		c.ExtraConfig.Identity = string(uuid.NewUUID())
	}
	return CompletedConfig{&completedConfig{
		generic: c.GenericConfig.Complete(),
		extra:   &c.ExtraConfig,
		client:  c.GenericConfig.ClientConfig,
	}}
}

// Server is an API server with the executor beside it.
type Server struct {
	generic   *genericapiserver.GenericAPIServer
	etcd      *embeddedetcd.Server // nil if the store is another
	namespace string
	caches    []*storecache.Informer
	memory    *memory.Memory
	notes     *bookkeeping.Notes
	events    *events.Recorder
	pause     *pause
	leader    *leader
	giveWay   func(ctx context.Context)
	// certificate is nil if one is given.
	certificate *servingcert.Manager
}

// New puts a Server together. It asks the cluster whether it may serve karo.io there.
func (c CompletedConfig) New(ctx context.Context) (*Server, error) {
	// The executor creates Jobs as fast as the cluster takes them; the cluster's own fairness is the limit.
	clientConfig := rest.CopyConfig(c.client)
	clientConfig.QPS = -1
	s := &Server{etcd: c.extra.Etcd, namespace: c.extra.Namespace, pause: &pause{}}
	clientConfig.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		return &fence{RoundTripper: rt, holds: s.executes}
	})
	client, err := kubernetes.NewForConfig(clientConfig)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	if err := refuseCRDs(ctx, clientConfig); err != nil {
		return nil, err
	}
	if c.generic.SecureServing.Cert == nil {
		if s.certificate, err = ownCertificate(ctx, client, clientConfig, c.extra.Namespace); err != nil {
			return nil, err
		}
		c.generic.SecureServing.Cert = s.certificate
	}
	serving := c.generic.SecureServing.Cert
	metrics.ServingCertificate(func() time.Time { return endOf(serving) })
	metrics.Register()

	informers := c.generic.SharedInformerFactory.Core().V1().Namespaces()
	namespaces := &namespaces{lister: informers.Lister(), client: client}
	// Admission watches webhooks and policies of the cluster, and refuses what comes before it has them.
	synced := []func() bool{informers.Informer().HasSynced, func() bool {
		return healthz.NewInformerSyncHealthz(c.generic.SharedInformerFactory).Check(nil) == nil
	}}
	// The handlers are made before the caches; none is called before the server runs.
	ready := func() error { return c.ready(synced) }
	full := func() error { return nil }
	if s.etcd != nil {
		full = s.etcd.Full
		// A defragmentation of a large store takes longer than etcd may be silent, and would begin again after a restart.
		for i, check := range c.generic.LivezChecks {
			if check.Name() == "etcd" {
				c.generic.LivezChecks[i] = aliveWhile(s.etcd.Defragmenting, check)
			}
		}
	}
	chain := c.generic.BuildHandlerChainFunc
	c.generic.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		return guardNotifications(chain(s.pause.guard(keepReserve(explainPatches(handler), full)), config), ready)
	}
	c.generic.RESTOptionsGetter = decorated{c.generic.RESTOptionsGetter}
	if s.generic, err = c.generic.New("karo-apiserver", genericapiserver.NewEmptyDelegate()); err != nil {
		return nil, fmt.Errorf("generic server: %w", err)
	}

	limits := karorest.Caps{
		AlertReactions: caps.New(karo.Resource("alertreactions"), c.extra.MaxReactions,
			"delete some, or have --max-reactions-per-namespace of karo-apiserver raised"),
		Executions: caps.New(karo.Resource("executions"), c.extra.MaxExecutions,
			"delete some that have ended, or have --max-executions-per-namespace of karo-apiserver raised"),
	}
	stores, err := karorest.NewStores(Scheme, c.generic.RESTOptionsGetter, c.generic.Authorization.Authorizer, limits)
	if err != nil {
		return nil, err
	}
	reactions, err := storecache.New(c.generic.RESTOptionsGetter, stores.AlertReactions.Store, matching.Indexers())
	if err != nil {
		return nil, err
	}
	indexers := cache.Indexers{}
	for _, needed := range []cache.Indexers{memory.ExecutionIndexers(), executor.ExecutionIndexers(), bookkeeping.ExecutionIndexers()} {
		maps.Copy(indexers, needed)
	}
	executions, err := storecache.New(c.generic.RESTOptionsGetter, stores.Executions.Store, indexers)
	if err != nil {
		return nil, err
	}
	if err := executions.SetTransform(executor.WithoutPast); err != nil {
		return nil, fmt.Errorf("watching executions: %w", err)
	}
	alerts, err := storecache.New(c.generic.RESTOptionsGetter, stores.Alerts, memory.AlertIndexers())
	if err != nil {
		return nil, err
	}
	s.caches = []*storecache.Informer{reactions, executions, alerts}
	for _, cache := range s.caches {
		synced = append(synced, cache.HasSynced)
		metrics.Undecodable(cache.Resource(), cache.Undecodable)
	}
	for informer, limit := range map[*storecache.Informer]*caps.Cap{reactions: limits.AlertReactions, executions: limits.Executions} {
		counting, err := informer.AddEventHandler(limit)
		if err != nil {
			return nil, fmt.Errorf("counting objects: %w", err)
		}
		synced = append(synced, counting.HasSynced)
	}
	index, err := matching.NewIndex(reactions)
	if err != nil {
		return nil, err
	}
	own := stores.Records()
	s.memory = memory.New(alerts, executions, own, liveness{index, namespaces})
	// First notifications are stored, then Jobs are created, and then the books are kept.
	var storing, executing precedence.Lane
	s.giveWay = func(ctx context.Context) {
		storing.GiveWay(ctx, booksPatience)
		executing.GiveWay(ctx, booksPatience)
	}
	background := &records.Background{Records: own, GiveWay: s.giveWay}
	s.notes = bookkeeping.NewNotes(background)
	s.events = events.NewRecorder(client)
	// Before anything of the store is shown to anybody.
	if err := s.pause.begin(ctx, c.generic.RESTOptionsGetter, client, own, s.events, c.extra); err != nil {
		return nil, err
	}
	handler := &ingest.Ingest{
		Index: index, Memory: s.memory, Caches: s.caches, Store: own, Namespaces: namespaces, RenderJobs: jobs.All,
		Notes: s.notes, Events: s.events, Storing: &storing, OwnNamespace: c.extra.Namespace,
		Cap: limits.Executions,
	}

	group := genericapiserver.NewDefaultAPIGroupInfo(karo.GroupName, Scheme, metav1.ParameterCodec, Codecs)
	group.NegotiatedSerializer = negotiated{Codecs}
	group.VersionedResourcesStorageMap = stores.Versions(handler, func(reaction *karo.AlertReaction) int {
		// Not by the index, which need not know the reaction yet.
		rules, _ := matching.Compile(&reaction.Spec, nil)
		return s.memory.Firing(reaction, rules, func(namespace, name string) bool {
			known := index.Reaction(namespace, name)
			return known != nil && known.Spec.AlertScope == karo.ScopeNamespace
		})
	}, reactions.Wrote)
	if err := s.generic.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("installing the API group: %w", err)
	}
	if err := s.generic.AddReadyzChecks(healthz.NamedCheck("karo-caches", func(*http.Request) error { return ready() })); err != nil {
		return nil, err
	}

	if c.extra.Executor {
		s.leader = &leader{client: client, namespace: c.extra.Namespace, identity: c.extra.Identity, may: s.pause.over, take: s.pause.advance}
		x := executor.New(executions, own, client, s.events, c.extra.ExecutorWorkers, &executing, func(ctx context.Context) error {
			storing.GiveWay(ctx, jobPatience)
			return s.executes()
		})
		if err := s.generic.AddLivezChecks(0, healthz.NamedCheck("karo-executor", x.Alive)); err != nil {
			return nil, err
		}
		s.leader.run = []func(context.Context) error{
			s.pause.lead,
			x.Run,
			func(ctx context.Context) error {
				bookkeeper := bookkeeping.NewBookkeeper(reactions, executions, background, full)
				group, ctx := errgroup.WithContext(ctx)
				group.Go(func() error { return bookkeeper.Run(ctx) })
				group.Go(func() error {
					return memory.NewKeeper(s.memory, background.ReleaseExecution, bookkeeper.Settle).Run(ctx)
				})
				return group.Wait()
			},
			memory.NewSweeper(s.memory, background.DeleteAlert, c.extra.AlertMemory).Run,
		}
		// The executor stops, and the lease is free for another replica, while requests are still answered.
		s.generic.AddPreShutdownHookOrDie("stop-executor", func() error { s.leader.stop(); return nil })
	}
	return s, nil
}

// executes returns an error unless this replica is sure to be the one that executes, and the store to be the right one.
func (s *Server) executes() error {
	if mismatch := s.pause.why.Load(); mismatch != nil {
		return fmt.Errorf("%w: %w", executor.ErrNotLeading, mismatch)
	}
	return s.leader.holds()
}

// ready says what the server still waits for before it can tell who sends a notification and what it triggers.
func (c CompletedConfig) ready(synced []func() bool) error {
	for _, s := range synced {
		if !s() {
			return errors.New("the caches are not loaded")
		}
	}
	if header := c.generic.Authentication.RequestHeaderConfig; header != nil {
		if _, ok := header.CAContentProvider.VerifyOptions(); !ok {
			return errors.New("the request header CA is not loaded")
		}
	}
	return nil
}

// Run serves until ctx ends, and then stops in order: the executor, the lease, requests, caches.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, cache := range s.caches {
		running.Go(func() { cache.RunWithContext(background) })
	}
	running.Go(func() { s.memory.Run(background, s.giveWay) })
	running.Go(func() { s.notes.Run(background) })
	running.Go(func() { s.pause.run(background) })
	if s.certificate != nil {
		running.Go(func() { s.certificate.Run(background) })
	}
	if s.etcd != nil {
		running.Go(func() { s.etcd.Maintain(background, func(full error) { s.tellFull(background, full) }) })
	}
	if s.leader != nil {
		s.leader.start(background, s.caches)
	}
	defer func() {
		if s.leader != nil {
			s.leader.stop() // Again, for a server that ends before it has served.
		}
		stop()
		running.Wait()
		for _, cache := range s.caches {
			cache.Close()
		}
		s.pause.close()
		s.events.Shutdown()
	}()
	return s.generic.PrepareRun().RunWithContext(ctx)
}

// endOf returns when the certificate ends that is served now; one that cannot be read has ended.
func endOf(serving dynamiccertificates.CertKeyContentProvider) time.Time {
	content, _ := serving.CurrentCertKeyContent()
	certs, err := cert.ParseCertsPEM(content)
	if err != nil {
		return time.Time{}
	}
	return certs[0].NotAfter
}

// ownCertificate returns the certificate that is made for the APIServices of this group.
func ownCertificate(ctx context.Context, client kubernetes.Interface, config *rest.Config, namespace string) (*servingcert.Manager, error) {
	services, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	var names []string
	for _, version := range Scheme.PrioritizedVersionsForGroup(karo.GroupName) {
		names = append(names, version.Version+"."+version.Group)
	}
	certificate := servingcert.New(client, services, namespace, names...)
	if err := certificate.Sync(ctx); err != nil {
		return nil, fmt.Errorf("serving certificate: %w", err)
	}
	return certificate, nil
}

// refuseCRDs fails when a CustomResourceDefinition holds the API group: the cluster would serve that in our place, or
// the two would fight over the APIService.
func refuseCRDs(ctx context.Context, config *rest.Config) error {
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client of the cluster: %w", err)
	}
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	list, err := client.Resource(crds).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("looking for CustomResourceDefinitions of %s: %w", karo.GroupName, err)
	}
	var found []string
	for i := range list.Items {
		if _, group, _ := strings.Cut(list.Items[i].Name, "."); group == karo.GroupName {
			found = append(found, list.Items[i].Name)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("the cluster has CustomResourceDefinitions of the API group %[1]s, which this server serves itself: %[2]s. "+
		"Save their objects, then remove them: kubectl delete crd %[2]s", karo.GroupName, strings.Join(found, " "))
}
