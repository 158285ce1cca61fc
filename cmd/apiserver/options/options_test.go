// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/version"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fakediscovery "k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A plugin whose objects the cluster does not serve must be off, or every write would wait for it.
func TestMissingPlugins(t *testing.T) {
	for name, test := range map[string]struct {
		served, want []string
	}{
		"1.36": {[]string{"validatingadmissionpolicies", "mutatingadmissionpolicies"}, nil},
		"1.35": {[]string{"validatingadmissionpolicies"}, []string{"MutatingAdmissionPolicy"}},
	} {
		list := &metav1.APIResourceList{GroupVersion: "admissionregistration.k8s.io/v1"}
		for _, resource := range test.served {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: resource})
		}
		cluster := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{Resources: []*metav1.APIResourceList{list}}}
		got, err := missingPlugins(cluster)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, test.want)
		}
	}
	if _, err := missingPlugins(&fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{}}); err == nil {
		t.Error("a cluster that does not answer is taken for one without policies")
	}
}

// What is wrong with the flags is said by their names.
func TestValidate(t *testing.T) {
	for flag, set := range map[string]func(*Options){
		"--data-dir":                     func(o *Options) { o.DataDir = "" },
		"--embedded-etcd-quota-bytes":    func(o *Options) { o.EtcdQuotaBytes = 0 },
		"--executor-workers":             func(o *Options) { o.ExecutorWorkers = 0 },
		"--alert-memory":                 func(o *Options) { o.AlertMemory = time.Hour },
		"--max-reactions-per-namespace":  func(o *Options) { o.MaxReactions = -1 },
		"--max-executions-per-namespace": func(o *Options) { o.MaxExecutions = -1 },
		"--metrics-bind-address":         func(o *Options) { o.MetricsBindAddress = "8080" },
	} {
		o := New()
		set(o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if err := New().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// A server that cannot reach the cluster says what it lacks before it starts an etcd.
func TestRunWithoutCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	o := New()
	o.DataDir = filepath.Join(t.TempDir(), "data")
	o.Recommended.Authorization.RemoteKubeConfigFile = filepath.Join(t.TempDir(), "missing")
	err := o.Run(t.Context())
	for _, want := range []string{"--kubeconfig must", "--authentication-kubeconfig must", "--authorization-kubeconfig: ", "missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	if _, err := os.Stat(o.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data directory: %v", err)
	}
}

// A data directory that cannot be made is said by the name of its flag.
func TestRunWithoutDataDir(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://localhost:1"}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c"}
	config.CurrentContext = "c"
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	o := New()
	o.Recommended.CoreAPI.CoreAPIKubeconfigPath = kubeconfig
	o.Recommended.Authentication.RemoteKubeConfigFile = kubeconfig
	o.Recommended.Authorization.RemoteKubeConfigFile = kubeconfig
	o.DataDir = filepath.Join(kubeconfig, "data")
	if err := o.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("it does not name the flag: %v", err)
	}
}

// The help begins with what is Karo's own, and is silent about what must stay off.
func TestHelp(t *testing.T) {
	var help strings.Builder
	cmd := NewCommand()
	cmd.SetOut(&help)
	cmd.SetArgs([]string{"--help"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{"\nKaro flags:", "\n      --data-dir ", "\n      --kubeconfig ", "\nEtcd flags:", "brings its own", "\nGlobal flags:"} {
		i := strings.Index(help.String()[at:], want)
		if i < 0 {
			t.Fatalf("%q is not where it should be:\n%s", want, help.String())
		}
		at += i
	}
	if strings.Contains(help.String(), "\n      --enable-priority-and-fairness") {
		t.Error("priority and fairness is offered")
	}
}

// The namespace of the lease is the flag's, the pod's, or the one that the manifests use.
func TestNamespace(t *testing.T) {
	for _, test := range []struct{ flag, pod, want string }{
		{"a", "b", "a"}, {"", "b", "b"}, {"", "", "karo-system"},
	} {
		t.Setenv("POD_NAMESPACE", test.pod)
		o := New()
		o.Namespace = test.flag
		if err := o.Complete(); err != nil || o.Namespace != test.want {
			t.Errorf("%+v: %s, %v", test, o.Namespace, err)
		}
	}
}

// At the address of the metrics there is nothing else.
func TestMetrics(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := serveMetrics(listener)
	get := func(path string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return http.DefaultClient.Do(req)
	}
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 404, "/": 404, "/healthz": 404} {
		resp, err := get(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want || want == 200 && !strings.Contains(string(text), "go_goroutines") {
			t.Errorf("%s: %d, %v: %.100s", path, resp.StatusCode, err, text)
		}
	}
	stop()
	if resp, err := get("/metrics"); err == nil {
		_ = resp.Body.Close()
		t.Error("it is served after its end")
	}
}

// What is printed, served and counted as the version is the one that was built.
func TestVersion(t *testing.T) {
	set := func(v string) { version.Version = v }
	defer set(version.Version)
	for built, want := range map[string]string{"": "devel", "v1.2.3": "v1.2.3"} {
		set(built)
		var out strings.Builder
		cmd := NewCommand()
		cmd.SetOut(&out)
		cmd.SetArgs([]string{"--version"})
		if err := cmd.Execute(); err != nil || !strings.HasPrefix(out.String(), "karo-apiserver "+want+" (revision ") || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q, error %v", out.String(), err)
		}
		if got := (effectiveVersion{}).Info().GitVersion; got != want {
			t.Errorf("/version says %s, want %s", got, want)
		}
	}
}
