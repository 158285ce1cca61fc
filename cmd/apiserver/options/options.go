// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package options holds the flags of karo-apiserver and turns them into a running server.
package options

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	"k8s.io/component-base/metrics/legacyregistry"

	"karo.io/karo/pkg/admission/ownerreview"
	"karo.io/karo/pkg/admission/reactionreview"
	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apiserver"
	"karo.io/karo/pkg/embeddedetcd"
	"karo.io/karo/pkg/generated/openapi"
	"karo.io/karo/pkg/servingcert"
	"karo.io/karo/pkg/setaside"
	"karo.io/karo/pkg/storagecodec"
)

const (
	commandName = "karo-apiserver"
	// etcdPrefix is where in etcd everything is. It can never change.
	etcdPrefix = "/registry"
	// defaultDataDir is where the embedded etcd keeps its data when nothing else says so.
	defaultDataDir = "/var/lib/karo"
	// defaultNamespace is where the lease is when nothing else says so.
	defaultNamespace = "karo-system"
	// minAlertMemory is some times the 4 h after which Alertmanager, by default, repeats an alert.
	minAlertMemory = 24 * time.Hour
	// embeddedIdentity is the identity, in the lease, of the one replica that an embedded etcd allows for. It is the
	// same after a crash, so that the successor need not wait for the lease to expire.
	embeddedIdentity = "embedded-etcd"
)

// Options are the flags of karo-apiserver.
type Options struct {
	ServerRun   *genericoptions.ServerRunOptions
	Recommended *genericoptions.RecommendedOptions

	// DataDir is where the embedded etcd keeps its data.
	DataDir string
	// EtcdQuotaBytes is the size at which the embedded etcd refuses to grow.
	EtcdQuotaBytes int64
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
	// MetricsBindAddress is where the metrics are served to anybody, without TLS; nowhere if it is empty.
	MetricsBindAddress string
}

// New returns the default options.
func New() *Options {
	o := &Options{
		ServerRun:       genericoptions.NewServerRunOptions(),
		Recommended:     genericoptions.NewRecommendedOptions(etcdPrefix, storagecodec.New(apiserver.Scheme, v1.SchemeGroupVersion)),
		DataDir:         defaultDataDir,
		EtcdQuotaBytes:  4 << 30,
		Executor:        true,
		ExecutorWorkers: 32,
		AlertMemory:     720 * time.Hour,
		MaxReactions:    10_000,
		MaxExecutions:   50_000,
	}
	// What is stored is v1, whatever version it was written in.
	o.Recommended.Etcd.StorageConfig.EncodeVersioner = runtime.NewMultiGroupVersioner(v1.SchemeGroupVersion, schema.GroupKind{Group: karo.GroupName})
	// A watch never ends by itself, and without a grace period the server waits for all of them for a minute. With one
	// it ends them first; requests in flight are waited for all the same.
	o.ServerRun.ShutdownWatchTerminationGracePeriod = 5 * time.Second
	// Of Executions and Alerts there may be as many as there are alerts, and the informers of this process hold them already.
	// A watch cache would hold them once more, and each of their changes of the last minutes, for a few watchers.
	o.Recommended.Etcd.WatchCacheSizes = []string{"executions.karo.io#0", "alerts.karo.io#0"}
	o.Recommended.SecureServing.Required = true
	// Without the files of a certificate, one is in a Secret.
	o.Recommended.SecureServing.ServerCert.CertDirectory = ""
	// Priority and fairness answers 429, after which Alertmanager sends no more; notifications have a limiter of
	// their own, and everything that comes through the kube-apiserver has passed the fairness there.
	o.Recommended.Features.EnablePriorityAndFairness = false
	// A notification that waits holds a place among these, of which the limiters let one sender have 128, and 16 to simulate.
	// Seven senders that all have as many waiting fill it, and what comes then is answered 503.
	o.ServerRun.MaxMutatingRequestsInFlight = 1000
	// The one place between the client of the cluster and the admission that it decides on.
	o.Recommended.ExtraAdmissionInitializers = func(c *genericapiserver.RecommendedConfig) ([]admission.PluginInitializer, error) {
		client, err := discovery.NewDiscoveryClientForConfig(c.ClientConfig)
		if err != nil {
			return nil, fmt.Errorf("client of the cluster: %w", err)
		}
		missing, err := missingPlugins(client)
		if err != nil {
			return nil, err
		}
		o.Recommended.Admission.DisablePlugins = append(o.Recommended.Admission.DisablePlugins, missing...)
		reviewer, err := reactionreview.NewClient(c.ClientConfig)
		if err != nil {
			return nil, err
		}
		return []admission.PluginInitializer{reactionreview.NewInitializer(reviewer)}, nil
	}
	ownerreview.Register(o.Recommended.Admission.Plugins)
	reactionreview.Register(o.Recommended.Admission.Plugins)
	o.Recommended.Admission.RecommendedPluginOrder = append(o.Recommended.Admission.RecommendedPluginOrder, ownerreview.PluginName, reactionreview.PluginName)
	return o
}

// Flags returns all flags, in the sections of the help.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var sections cliflag.NamedFlagSets
	fs := sections.FlagSet("karo")
	o.Recommended.CoreAPI.AddFlags(fs)
	fs.Lookup("kubeconfig").Usage = "Kubeconfig file of the cluster to serve. In a pod the default is the cluster of the pod, by its ServiceAccount."
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "Directory of the embedded etcd, which runs unless --etcd-servers is given. One process at a time can use it.")
	fs.Int64Var(&o.EtcdQuotaBytes, "embedded-etcd-quota-bytes", o.EtcdQuotaBytes, "Size in bytes at which the embedded etcd refuses to grow.")
	fs.StringVar(&o.Namespace, "namespace", o.Namespace, "Namespace of the executor's lease, and of what the cluster knows of the store. Default: $POD_NAMESPACE, else "+defaultNamespace+".")
	fs.StringVar(&o.AcceptStore, "accept-store", o.AcceptStore, "Take the store for the right one, though it is not the one that the cluster was last served from, or has gone back in time. The value is the one that the log, and the answer to notifications, give; it fits no other loss, so that the flag may stay.")
	fs.BoolVar(&o.Executor, "executor", o.Executor, "Whether this replica may turn Executions into Jobs. One replica at a time does, by lease.")
	fs.IntVar(&o.ExecutorWorkers, "executor-workers", o.ExecutorWorkers, "How many Executions are worked on at a time.")
	fs.DurationVar(&o.AlertMemory, "alert-memory", o.AlertMemory, "How long an alert is remembered after it was last seen. An alert that is forgotten runs again when it is sent again.")
	fs.IntVar(&o.MaxReactions, "max-reactions-per-namespace", o.MaxReactions, "How many AlertReactions a namespace may have; 0 is no limit. More are refused.")
	fs.IntVar(&o.MaxExecutions, "max-executions-per-namespace", o.MaxExecutions, "How many Executions a namespace may have; 0 is no limit. For more, the run is refused and the answer to the notification says so; it runs at a later notification once there is room.")
	fs.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, "Address, as :8080, at which /metrics is served without TLS and without asking who wants it. Without one it is served, like everything, at --secure-port, to who may get it.")

	fs = sections.FlagSet("etcd")
	o.Recommended.Etcd.AddFlags(fs)
	fs.Lookup("etcd-servers").Usage += " Without any, the server brings its own, which keeps its data in --data-dir."
	fs.Lookup("etcd-prefix").Usage = "What the names of all keys in etcd begin with. It can never change: whatever was stored under another one is not found."
	fs = sections.FlagSet("secure serving")
	o.Recommended.SecureServing.AddFlags(fs)
	fs.Lookup("tls-cert-file").Usage = "File of the certificate to serve with, and of those between it and its authority; read again when it changes. " +
		"Without one, a certificate is made, kept in the Secret " + servingcert.SecretName + " of --namespace, and replaced before it ends; caBundle of Karo's APIServices is kept right for it."
	fs.Lookup("cert-dir").Hidden = true // There is nothing to be written there.
	o.Recommended.Authentication.AddFlags(sections.FlagSet("authentication"))
	o.Recommended.Authorization.AddFlags(sections.FlagSet("authorization"))
	o.Recommended.Admission.AddFlags(sections.FlagSet("admission"))
	o.Recommended.Audit.AddFlags(sections.FlagSet("audit"))
	fs = sections.FlagSet("features")
	o.Recommended.Features.AddFlags(fs)
	fs.Lookup("enable-priority-and-fairness").Hidden = true // See New.
	o.Recommended.EgressSelector.AddFlags(sections.FlagSet("egress selector"))
	o.Recommended.Traces.AddFlags(sections.FlagSet("traces"))
	o.ServerRun.AddUniversalFlags(sections.FlagSet("generic"))
	globalflag.AddGlobalFlags(sections.FlagSet("global"), commandName)
	return sections
}

// missingPlugins returns the admission plugins whose objects the cluster does not serve. They would wait for these for
// ever, and refuse every write meanwhile: a cluster before 1.36 has no MutatingAdmissionPolicies.
func missingPlugins(client discovery.ServerResourcesInterface) ([]string, error) {
	list, err := client.ServerResourcesForGroupVersion(admissionregistrationv1.SchemeGroupVersion.String())
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its admission policies: %w", err)
	}
	served := slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "mutatingadmissionpolicies" })
	if served {
		return nil, nil
	}
	return []string{mutating.PluginName}, nil
}

// embedded reports whether the server brings its own etcd.
func (o *Options) embedded() bool {
	return len(o.Recommended.Etcd.StorageConfig.Transport.ServerList) == 0
}

// Complete fills in what depends on the environment.
func (o *Options) Complete() error {
	if o.Namespace == "" {
		o.Namespace = os.Getenv("POD_NAMESPACE")
	}
	if o.Namespace == "" {
		o.Namespace = defaultNamespace
	}
	return o.ServerRun.Complete()
}

// Validate says what is wrong with the options, naming the flags.
func (o *Options) Validate() error {
	errs := o.ServerRun.Validate()
	recommended := *o.Recommended
	if o.embedded() {
		if o.DataDir == "" {
			errs = append(errs, errors.New("--data-dir must be specified when --etcd-servers is not"))
		}
		if o.EtcdQuotaBytes <= 0 {
			errs = append(errs, errors.New("--embedded-etcd-quota-bytes must be greater than 0"))
		}
		etcd := *recommended.Etcd
		etcd.StorageConfig.Transport.ServerList = []string{"embedded"}
		recommended.Etcd = &etcd
	}
	errs = append(errs, recommended.Validate()...)
	if o.ExecutorWorkers < 1 {
		errs = append(errs, errors.New("--executor-workers must be greater than 0"))
	}
	if o.AlertMemory < minAlertMemory {
		errs = append(errs, fmt.Errorf("--alert-memory must be at least %s: an alert that is forgotten while it fires runs again", minAlertMemory))
	}
	if o.MetricsBindAddress != "" {
		if _, _, err := net.SplitHostPort(o.MetricsBindAddress); err != nil {
			errs = append(errs, fmt.Errorf("--metrics-bind-address must be an address and a port, as :8080: %w", err))
		}
	}
	if o.MaxReactions < 0 {
		errs = append(errs, errors.New("--max-reactions-per-namespace must be 0 or greater"))
	}
	if o.MaxExecutions < 0 {
		errs = append(errs, errors.New("--max-executions-per-namespace must be 0 or greater"))
	}
	return utilerrors.NewAggregate(errs)
}

// checkClients fails when one of the ways to reach the cluster is not usable, naming the flags.
func (o *Options) checkClients() error {
	var errs []error
	for _, client := range []struct{ flag, path string }{
		{"--kubeconfig", o.Recommended.CoreAPI.CoreAPIKubeconfigPath},
		{"--authentication-kubeconfig", o.Recommended.Authentication.RemoteKubeConfigFile},
		{"--authorization-kubeconfig", o.Recommended.Authorization.RemoteKubeConfigFile},
	} {
		if client.path != "" {
			if _, err := clientcmd.BuildConfigFromFlags("", client.path); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", client.flag, err))
			}
		} else if _, err := rest.InClusterConfig(); err != nil {
			errs = append(errs, fmt.Errorf("%s must be specified outside of a pod: %w", client.flag, err))
		}
	}
	return utilerrors.NewAggregate(errs)
}

// Config turns the options into the configuration of a server.
func (o *Options) Config() (*apiserver.Config, error) {
	generic := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	namer := openapinamer.NewDefinitionNamer(apiserver.Scheme)
	generic.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	generic.OpenAPIConfig.Info.Title = "Karo"
	generic.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	generic.OpenAPIV3Config.Info.Title = "Karo"
	if err := o.ServerRun.ApplyTo(&generic.Config); err != nil {
		return nil, err
	}
	if err := o.Recommended.ApplyTo(generic); err != nil {
		return nil, err
	}
	generic.EffectiveVersion = effectiveVersion{generic.EffectiveVersion}
	generic.RESTOptionsGetter = setaside.Options(generic.RESTOptionsGetter)
	config := &apiserver.Config{GenericConfig: generic, ExtraConfig: apiserver.ExtraConfig{
		Namespace:       o.Namespace,
		AcceptStore:     o.AcceptStore,
		Executor:        o.Executor,
		ExecutorWorkers: o.ExecutorWorkers,
		AlertMemory:     o.AlertMemory,
		MaxReactions:    o.MaxReactions,
		MaxExecutions:   o.MaxExecutions,
	}}
	return config, nil
}

// Run serves until ctx ends. The embedded etcd, if there is one, starts first and stops last.
func (o *Options) Run(ctx context.Context) error {
	// Before there is an etcd, with its data and its log, for nothing.
	if err := o.checkClients(); err != nil {
		return err
	}
	if o.MetricsBindAddress != "" {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.MetricsBindAddress)
		if err != nil {
			return fmt.Errorf("--metrics-bind-address: %w", err)
		}
		defer serveMetrics(listener)()
	}
	identity := ""
	var etcd *embeddedetcd.Server
	if o.embedded() {
		var err error
		etcd, err = embeddedetcd.Start(ctx, o.DataDir, o.EtcdQuotaBytes)
		if err != nil {
			return fmt.Errorf("--data-dir: %w", err)
		}
		defer etcd.Close()
		o.Recommended.Etcd.StorageConfig.Transport.ServerList = []string{etcd.Endpoint}
		identity = embeddedIdentity
		var fail context.CancelCauseFunc
		ctx, fail = context.WithCancelCause(ctx)
		defer fail(nil)
		go func() { fail(etcd.Wait(ctx)) }()
	}
	config, err := o.Config()
	if err != nil {
		return err
	}
	config.ExtraConfig.Identity, config.ExtraConfig.Etcd = identity, etcd
	server, err := config.Complete().New(ctx)
	if err != nil {
		return err
	}
	if err := server.Run(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// serveMetrics serves the metrics, and nothing else, until stop is called.
func serveMetrics(listener net.Listener) (stop func()) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", legacyregistry.Handler())
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }
}

// NewCommand returns the command of karo-apiserver.
func NewCommand() *cobra.Command {
	version.Version = binaryVersion() // Also what karo_build_info says.
	o := New()
	cmd := &cobra.Command{
		Use:          commandName,
		Long:         "Serve the karo.io API group to a cluster and turn alerts into Jobs.",
		Version:      binaryVersion(),
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Complete(); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	cmd.SetVersionTemplate(binary() + "\n")
	sections := o.Flags()
	for _, fs := range sections.FlagSets {
		cmd.Flags().AddFlagSet(fs)
	}
	cliflag.SetUsageAndHelpFunc(cmd, sections, 0)
	cmd.AddCommand(newSnapshotCommand())
	return cmd
}
