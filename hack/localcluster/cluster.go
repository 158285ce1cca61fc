// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package localcluster runs a real control plane on loopback: etcd, kube-apiserver, kube-controller-manager and
// kube-scheduler, with kwok as the node, and beside it karo-apiserver and Alertmanager.
//
// It serves make run, make demo and the integration tests alike. Its programs are built from Go modules; nothing it
// starts survives it.
package localcluster

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// startTimeout bounds the start of one program.
const startTimeout = 2 * time.Minute

// nodeName is the name of the node that kwok plays.
const nodeName = "kwok"

// kwokStages say how the node that kwok plays runs its pods.
//
//go:embed kwok.yaml
var kwokStages []byte

// Cluster is a control plane that runs.
type Cluster struct {
	// Dir holds the certificates, data and logs; Stop removes it.
	Dir string
	// Root is the directory of the repository.
	Root string
	// Kubeconfig is the file with the credentials of an administrator.
	Kubeconfig string
	// Config are the credentials of an administrator.
	Config *rest.Config
	// Client is a client with them.
	Client kubernetes.Interface
	// CAFile is the certificate authority of the kube-apiserver.
	CAFile string

	// EtcdURL is the address of the control plane's etcd.
	EtcdURL string

	claim  *os.File
	assets map[string]string
	ca     *authority
	port   int
	log    io.Writer

	lock      sync.Mutex
	processes []*Process
	balancers []*balancer
}

// Start brings a control plane up. What the user may have to wait for is told to log.
func Start(ctx context.Context, log io.Writer) (_ *Cluster, err error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	paths, err := assets(ctx, root, controlPlane, log)
	if err != nil {
		return nil, err
	}
	removeStale()
	dir, claim, err := makeDir()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Root: root, assets: paths, log: log, claim: claim}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	begin := time.Now()
	if err := c.startControlPlane(ctx); err != nil {
		return nil, err
	}
	if err := c.startNode(ctx); err != nil {
		return nil, err
	}
	fmt.Fprintf(log, "control plane up in %s\n", time.Since(begin).Round(100*time.Millisecond))
	return c, nil
}

// Stop ends every program and removes what they left.
func (c *Cluster) Stop() {
	c.lock.Lock()
	defer c.lock.Unlock()
	// First what was started last. Karo and Alertmanager may want to write; the control plane has nothing to lose.
	for _, p := range slices.Backward(c.processes) {
		if p.program == "karo-apiserver" || p.program == "alertmanager" {
			_ = p.Stop()
		} else {
			p.Kill()
		}
	}
	c.processes = nil
	for _, b := range c.balancers {
		b.close()
	}
	c.balancers = nil
	_ = os.RemoveAll(c.Dir)
	_ = c.claim.Close()
}

// start runs a program under a name, which its log has.
func (c *Cluster) start(name, program string, args ...string) (*Process, error) {
	p, err := start(c.Dir, name, c.assets[program], args...)
	if err != nil {
		return nil, err
	}
	p.program = program
	c.lock.Lock()
	defer c.lock.Unlock()
	c.processes = append(c.processes, p)
	return p, nil
}

// restart starts a program, again once it has one to restart.
func (c *Cluster) restart(p **Process, name, program string, args ...string) error {
	if *p != nil {
		return (*p).Restart()
	}
	var err error
	*p, err = c.start(name, program, args...)
	return err
}

// Process returns a program of the cluster by its name, as "kube-apiserver", or nil if there is none.
func (c *Cluster) Process(name string) *Process {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, p := range c.processes {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func (c *Cluster) startControlPlane(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	c.port = ports[0]
	if c.ca, err = newAuthority(c.Dir, "ca"); err != nil {
		return err
	}
	c.CAFile = c.ca.file()
	frontCA, err := newAuthority(c.Dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	proxy, err := frontCA.client("front-proxy-client")
	if err != nil {
		return err
	}
	serving, err := c.ca.serving("kube-apiserver", "kubernetes.default.svc")
	if err != nil {
		return err
	}
	accounts, err := c.ca.serving("service-accounts")
	if err != nil {
		return err
	}

	c.EtcdURL = "http://" + loopback(ports[1])
	peerURL := "http://" + loopback(ports[2])
	etcd, err := c.start("etcd", "etcd",
		"--name=default", "--data-dir="+filepath.Join(c.Dir, "etcd"),
		"--listen-client-urls="+c.EtcdURL, "--advertise-client-urls="+c.EtcdURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=default="+peerURL,
		"--unsafe-no-fsync", "--log-level=warn")
	if err != nil {
		return err
	}
	if err := etcd.await(ctx, func(ctx context.Context) error { return answers(ctx, http.DefaultClient, c.EtcdURL+"/health") }); err != nil {
		return err
	}

	apiserver, err := c.start("kube-apiserver", "kube-apiserver",
		"--etcd-servers="+c.EtcdURL,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--secure-port="+strconv.Itoa(c.port),
		"--tls-cert-file="+serving.cert, "--tls-private-key-file="+serving.key,
		"--client-ca-file="+c.CAFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+accounts.cert, "--service-account-signing-key-file="+accounts.key,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=RBAC",
		"--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
		"--requestheader-client-ca-file="+frontCA.file(), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+proxy.cert, "--proxy-client-key-file="+proxy.key)
	if err != nil {
		return err
	}
	if c.Kubeconfig, err = c.kubeconfig("admin", "system:masters"); err != nil {
		return err
	}
	if c.Config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		return err
	}
	c.Config.QPS = -1
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	if err := apiserver.await(ctx, func(ctx context.Context) error {
		return c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}); err != nil {
		return err
	}

	controllers, err := c.kubeconfig("system:kube-controller-manager")
	if err != nil {
		return err
	}
	if _, err := c.start("kube-controller-manager", "kube-controller-manager",
		"--kubeconfig="+controllers, "--authentication-kubeconfig="+controllers, "--authorization-kubeconfig="+controllers,
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(ports[3]),
		"--use-service-account-credentials", "--leader-elect=false",
		// The node that is played has nothing to fail but our own outages.
		"--node-monitor-grace-period=24h",
		// The default is a few Jobs a second.
		"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-job-syncs=20",
		"--service-account-private-key-file="+accounts.key, "--root-ca-file="+c.CAFile); err != nil {
		return err
	}
	scheduler, err := c.kubeconfig("system:kube-scheduler")
	if err != nil {
		return err
	}
	if _, err := c.start("kube-scheduler", "kube-scheduler",
		"--kubeconfig="+scheduler, "--authentication-kubeconfig="+scheduler, "--authorization-kubeconfig="+scheduler,
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(ports[4]), "--leader-elect=false",
		"--kube-api-qps=500", "--kube-api-burst=1000"); err != nil {
		return err
	}
	stages := filepath.Join(c.Dir, "kwok.yaml")
	if err := os.WriteFile(stages, kwokStages, 0o600); err != nil {
		return err
	}
	_, err = c.start("kwok", "kwok", "--kubeconfig="+c.Kubeconfig, "--config="+stages, "--manage-all-nodes",
		"--node-lease-duration-seconds=40", "--server-address="+loopback(ports[5]))
	return err
}

// startNode creates the node and waits until pods can be scheduled to it.
func (c *Cluster) startNode(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{"kubernetes.io/hostname": nodeName, "kubernetes.io/os": "linux"}}}
	if _, err := c.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating the node: %w", err)
	}
	return c.Until(ctx, "the node and its service accounts", func(ctx context.Context) error {
		node, err := c.Client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(node.Status.Conditions, func(condition corev1.NodeCondition) bool {
			return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
		}) || len(node.Spec.Taints) > 0 {
			return errors.New("the node is not ready")
		}
		_, err = c.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// Until calls check until it succeeds, or says what it waited for when ctx ends.
func (c *Cluster) Until(ctx context.Context, what string, check func(context.Context) error) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, err)
		case <-ticker.C:
		}
	}
}

// kubeconfig writes a file with the credentials of a user.
func (c *Cluster) kubeconfig(user string, groups ...string) (string, error) {
	cert, err := c.ca.client(user, groups...)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig(user, clientcmdapi.AuthInfo{ClientCertificate: cert.cert, ClientKey: cert.key})
}

func (c *Cluster) writeKubeconfig(name string, auth clientcmdapi.AuthInfo) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: c.URL(), CertificateAuthority: c.CAFile}
	config.AuthInfos["user"] = &auth
	config.Contexts["local"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: "user"}
	config.CurrentContext = "local"
	path := filepath.Join(c.Dir, name+".kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// URL returns the address of the kube-apiserver.
func (c *Cluster) URL() string { return "https://" + loopback(c.port) }

// KubectlPath returns the path of the control plane's kubectl.
func (c *Cluster) KubectlPath() string { return c.assets["kubectl"] }

// Kubectl runs kubectl as the administrator and returns what it prints, errors included.
func (c *Cluster) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	return output(ctx, c.KubectlPath(), nil, stdin, append([]string{"--kubeconfig=" + c.Kubeconfig}, args...))
}

// Helm runs helm as the administrator and returns what it prints, errors included. It is compiled when it is needed first.
func (c *Cluster) Helm(ctx context.Context, args ...string) (string, error) {
	paths, err := assets(ctx, c.Root, helm, c.log)
	if err != nil {
		return "", err
	}
	home := filepath.Join(c.Dir, "helm")
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "HELM_") })
	env = append(env, "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home)
	return output(ctx, paths["helm"], env, "", append([]string{"--kubeconfig=" + c.Kubeconfig}, args...))
}

// output runs a program and returns what it prints, in the environment of this one if env is nil.
func output(ctx context.Context, path string, env []string, stdin string, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Stdin = env, strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// Token returns a token of a ServiceAccount, which it creates if need be.
func (c *Cluster) Token(ctx context.Context, namespace, name string) (string, error) {
	accounts := c.Client.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("service account %s/%s: %w", namespace, name, err)
	}
	token, err := accounts.CreateToken(ctx, name, tokenRequest, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token of %s/%s: %w", namespace, name, err)
	}
	return token.Status.Token, nil
}

// answers reports whether a URL answers 200.
func answers(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
