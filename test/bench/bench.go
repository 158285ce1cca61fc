// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"karo.io/karo/hack/localcluster"
	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/apiserver"
	"karo.io/karo/pkg/generated/clientset/versioned"
	"karo.io/karo/pkg/jobs"
)

const (
	// groupSize is how many alerts a notification has that is no extraordinary one.
	groupSize = 50
	// senders is how many notifications are under way at a time.
	senders = 8
	// alertName is what the alerts are called that a reaction answers.
	alertName = "BenchAlert"
)

// bench is a control plane with one Karo, which brings its own etcd.
type bench struct {
	cluster *localcluster.Cluster
	karo    *localcluster.Karo
	client  *versioned.Clientset
	sender  *http.Client
	rounds  int
	count   int
}

func newBench(ctx context.Context, rounds int) (_ *bench, err error) {
	b := &bench{rounds: rounds}
	if b.cluster, err = localcluster.Start(ctx, os.Stderr); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.cluster.Stop()
		}
	}()
	if b.karo, err = b.cluster.StartKaro(ctx); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(b.cluster.Config)
	if b.client, err = versioned.NewForConfig(config); err != nil {
		return nil, err
	}
	b.sender, err = b.newSender(ctx, "alertmanager")
	return b, err
}

// newSender returns a client with the token of a ServiceAccount that may trigger everywhere.
func (b *bench) newSender(ctx context.Context, name string) (*http.Client, error) {
	token, err := b.cluster.Token(ctx, metav1.NamespaceDefault, name)
	if err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"create", "clusterrole", name, "--verb=create", "--resource=alerts.karo.io", "--resource-name=trigger"},
		{"create", "clusterrolebinding", name, "--clusterrole=" + name, "--serviceaccount=" + metav1.NamespaceDefault + ":" + name},
	} {
		if _, err := b.cluster.Kubectl(ctx, "", args...); err != nil {
			return nil, err
		}
	}
	config := rest.AnonymousClientConfig(b.cluster.Config)
	config.BearerToken = token
	return rest.HTTPClientFor(config)
}

// suspendControllers stops what would run the Jobs, until the end.
func (b *bench) suspendControllers() error {
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kwok"} {
		if err := b.cluster.Process(name).Signal(syscall.SIGSTOP); err != nil {
			return fmt.Errorf("suspending %s: %w", name, err)
		}
	}
	return nil
}

// newNamespace creates a namespace with one reaction of one action.
func (b *bench) newNamespace(ctx context.Context) (string, error) {
	b.count++
	name := fmt.Sprintf("bench-%d", b.count)
	if _, err := b.cluster.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	_, err := b.client.KaroV1().AlertReactions(name).Create(ctx, newReaction("react"), metav1.CreateOptions{})
	return name, err
}

// newRound creates a namespace like newNamespace, in which the Jobs, of which there will be n, are counted.
func (b *bench) newRound(ctx context.Context, n int) (namespace string, counter *jobCounter, err error) {
	if namespace, err = b.newNamespace(ctx); err != nil {
		return "", nil, err
	}
	counter, err = b.countJobs(ctx, namespace, n)
	return namespace, counter, err
}

func newReaction(name string) *v1.AlertReaction {
	return &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.AlertReactionSpec{AlertName: alertName, Actions: []v1.Action{{
			Name: "act", Image: "busybox:1.37", Command: []string{"sh", "-c", `echo "$POD"`},
			Env: []v1.EnvVar{{Name: "POD", Value: "labels.pod"}},
		}}},
	}
}

// newAlerts returns alerts of about 1 KB each, numbered from first.
func newAlerts(alertName string, first, n int) []v1.NotificationAlert {
	startsAt := nanotime.New(time.Now())
	alerts := make([]v1.NotificationAlert, n)
	for i := range alerts {
		pod := fmt.Sprintf("cart-%d", first+i)
		alerts[i] = v1.NotificationAlert{
			Status: v1.AlertFiring, StartsAt: &startsAt, Fingerprint: fmt.Sprintf("%016x", first+i),
			GeneratorURL: "http://prometheus.monitoring.svc:9090/graph?g0.expr=increase%28kube_pod_container_status_restarts_total%5B10m%5D%29+%3E+5&g0.tab=1",
			Labels: map[string]string{
				"alertname": alertName, "pod": pod, "container": "app", "namespace": "shop", "severity": "warning",
				"job": "kube-state-metrics", "instance": "10.0.0.7:8080", "uid": fmt.Sprintf("0c1e5f7a-0000-4000-8000-%012d", first+i),
			},
			Annotations: map[string]string{
				"summary":     "Pod is crash looping.",
				"description": "Pod shop/" + pod + " (app) is in waiting state (reason: \"CrashLoopBackOff\") on cluster production. " + strings.Repeat("What to look at is in the runbook. ", 10),
				"runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping",
			},
		}
	}
	return alerts
}

func bodyOf(alerts []v1.NotificationAlert) []byte {
	body, err := json.Marshal(map[string]any{
		"version": "4", "status": "firing", "receiver": "bench", "groupKey": "{}:{}", "externalURL": "http://alertmanager:9093", "alerts": alerts,
	})
	if err != nil {
		panic(err) // It holds nothing that is not JSON.
	}
	return body
}

func (b *bench) triggerURL(namespace string) string {
	return b.cluster.URL() + "/apis/karo.io/v1/namespaces/" + namespace + "/alerts/trigger"
}

// post sends a body once and returns the status.
func post(ctx context.Context, client *http.Client, url string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.300s", url, resp.Status, answer)
	}
	return resp.StatusCode, err
}

// sendGroups sends n alerts in notifications of groupSize, some at a time, and returns how long each took.
func sendGroups(ctx context.Context, client *http.Client, url, alertName string, n int) ([]time.Duration, error) {
	bodies := make([][]byte, n/groupSize)
	for i := range bodies {
		bodies[i] = bodyOf(newAlerts(alertName, i*groupSize, groupSize))
	}
	took := make([]time.Duration, len(bodies))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	for i := range bodies {
		group.Go(func() error {
			begin := time.Now()
			_, err := post(ctx, client, url, bodies[i])
			took[i] = time.Since(begin)
			return err
		})
	}
	return took, group.Wait()
}

// jobCounter counts the Jobs of a namespace as they are created.
type jobCounter struct {
	watcher *watchtools.RetryWatcher
	count   atomic.Int64
	added   chan string // The names of the Jobs.
}

func (b *bench) countJobs(ctx context.Context, namespace string, room int) (*jobCounter, error) {
	jobs := b.cluster.Client.BatchV1().Jobs(namespace)
	list, err := jobs.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, list.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return jobs.Watch(ctx, o) },
	})
	if err != nil {
		return nil, err
	}
	c := &jobCounter{watcher: watcher, added: make(chan string, room)}
	go func() {
		for event := range watcher.ResultChan() {
			if job, ok := event.Object.(*batchv1.Job); ok && event.Type == watch.Added {
				c.count.Add(1)
				c.added <- job.Name
			}
		}
		close(c.added)
	}()
	return c, nil
}

// await returns once n more Jobs have been created.
func (c *jobCounter) await(ctx context.Context, n int) error {
	for range n {
		select {
		case _, ok := <-c.added:
			if !ok {
				return errors.New("the watch of the jobs ended")
			}
		case <-ctx.Done():
			return fmt.Errorf("there are %d jobs: %w", c.count.Load(), ctx.Err())
		}
	}
	return nil
}

func (c *jobCounter) stop() { c.watcher.Stop() }

// newJob returns a Job like those that Karo makes of newReaction, which nobody owns.
func newJob(namespace string, number int) (*batchv1.Job, error) {
	name := fmt.Sprintf("raw-%d", number)
	e := &karo.Execution{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
	e.Spec.Reaction.Name = "raw"
	alert := newAlerts(alertName, number, 1)[0]
	e.Spec.Alert = karo.AlertOccurrence{
		Name: alertName, Status: karo.AlertFiring, Labels: alert.Labels, Annotations: alert.Annotations, StartsAt: alert.StartsAt, Fingerprint: alert.Fingerprint,
	}
	var internal karo.AlertReaction
	if err := apiserver.Scheme.Convert(newReaction("raw"), &internal, nil); err != nil {
		return nil, err
	}
	job, err := jobs.Build(e, &internal.Spec, &internal.Spec.Actions[0])
	if err != nil {
		return nil, err
	}
	job.OwnerReferences = nil
	return job, nil
}

// newJobs makes n such Jobs, numbered from first on.
func newJobs(namespace string, first, n int) ([]*batchv1.Job, error) {
	made := make([]*batchv1.Job, n)
	for i := range made {
		var err error
		if made[i], err = newJob(namespace, first+i); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// memory returns a figure of the memory of Karo, in MiB, by its name in /proc.
func (b *bench) memory(figure string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.karo.Process().PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == figure+":" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("there is no %s in %s", figure, text)
}

// cpu returns how much time of the processor each program has had.
func (b *bench) cpu() (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	for _, process := range []*localcluster.Process{b.karo.Process(), b.cluster.Process("kube-apiserver"), b.cluster.Process("etcd")} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.PID()))
		if err != nil {
			return nil, err
		}
		// Behind the name of the program, in parentheses, which may hold spaces: utime and stime are the 14th and 15th field.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("time of %s: %w", process.Name, err)
			}
			used[process.Name] += time.Duration(ticks) * (time.Second / 100)
		}
	}
	return used, nil
}

// settle waits until the programs have done what was left for later, as Karo leaves its books, so that the next measurement
// begins with all of the machine.
func (b *bench) settle(ctx context.Context) error {
	const interval, idle = 500 * time.Millisecond, 50 * time.Millisecond
	before, err := b.cpu()
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, interval, 5*time.Minute, false, func(context.Context) (bool, error) {
		after, err := b.cpu()
		used := time.Duration(0)
		for name := range after {
			used += after[name] - before[name]
		}
		before = after
		return used <= idle, err
	})
}

// cpuEach says what each of n things took of the processor since before.
func (b *bench) cpuEach(before map[string]time.Duration, n int) (string, error) {
	after, err := b.cpu()
	if err != nil {
		return "", err
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		texts = append(texts, name+" "+millis((after[name]-before[name])/time.Duration(n)))
	}
	return strings.Join(texts, ", "), nil
}

func median(values []float64) float64 {
	return quantile(values, 0.5)
}

func quantile[T ~int64 | ~float64](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }

func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 2, 64) + " ms"
}

func p50(took []time.Duration) string {
	return millis(quantile(took, 0.5)) + " (" + millis(quantile(took, 0.99)) + ")"
}

func list(values []float64, unit string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strings.Join(texts, ", ") + " " + unit
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
