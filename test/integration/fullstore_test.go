// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"karo.io/karo/hack/localcluster"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/generated/clientset/versioned"
)

// takeOver starts a karo-apiserver of other flags, and of a store of its own, in the place of the one that the tests share,
// until the test ends.
func takeOver(t *testing.T, name string, flags ...string) *localcluster.Karo {
	t.Helper()
	k, err := cluster.NewKaro(t.Context(), name, flags...)
	if err != nil {
		t.Fatal(err)
	}
	if err := karo.Process().Stop(); err != nil {
		t.Fatal(err)
	}
	// Else the cluster would take the store for one that was lost, and the other one then, too.
	known, err := cluster.Client.CoreV1().ConfigMaps(localcluster.KaroNamespace).Get(t.Context(), "karo-store", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := knowStore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	removeJobs(t)
	t.Cleanup(func() {
		if k.Process() != nil {
			k.Process().Kill()
		}
		// The context of the test has ended.
		ctx := context.Background()
		err := errors.Join(knowStore(ctx, known.Data), karo.Start(ctx), serve(ctx, karo))
		if err != nil {
			t.Errorf("going back: %v", err)
		}
	})
	if err := errors.Join(k.Start(t.Context()), serve(t.Context(), k)); err != nil {
		t.Fatal(err)
	}
	return k
}

// removeJobs removes the Jobs of all Executions: a store that was never in use is paused where there are some.
func removeJobs(t *testing.T) {
	t.Helper()
	kubectl(t, "", "delete", "jobs", "--all-namespaces", "--selector=app.kubernetes.io/managed-by=karo", "--timeout=2m")
}

// knowStore has the cluster know the store that some data is of, or none.
func knowStore(ctx context.Context, data map[string]string) error {
	configMaps := cluster.Client.CoreV1().ConfigMaps(localcluster.KaroNamespace)
	if err := configMaps.Delete(ctx, "karo-store", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if data == nil {
		return nil
	}
	_, err := configMaps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "karo-store"}, Data: data}, metav1.CreateOptions{})
	return err
}

// serve has the kube-apiserver ask a karo-apiserver.
func serve(ctx context.Context, k *localcluster.Karo) error {
	address, err := url.Parse(k.URL())
	if err != nil {
		return err
	}
	for _, version := range []string{"v1", "v1alpha1"} {
		patch := fmt.Sprintf(`{"spec":{"service":{"port":%s}}}`, address.Port())
		if _, err := cluster.Kubectl(ctx, "", "patch", "apiservice", version+".karo.io", "--type=merge", "-p", patch); err != nil {
			return err
		}
	}
	if _, err := cluster.Kubectl(ctx, "", "patch", "service", "karo", "-n", localcluster.KaroNamespace, "--type=merge",
		"-p", fmt.Sprintf(`{"spec":{"ports":[{"port":%s}]}}`, address.Port())); err != nil {
		return err
	}
	return k.Available(ctx)
}

// try sends a notification that need not be taken. The answer is nil unless it is.
func (s *sender) try(t *testing.T, namespace string, alerts ...v1.NotificationAlert) (*v1.AlertNotificationResult, string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "receiver": "karo", "alerts": alerts})
	if err != nil {
		t.Error(err)
		return nil, ""
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.host+triggerPath(namespace), bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return nil, ""
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err.Error() // Alertmanager repeats it then, too.
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err.Error()
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil, string(answer)
	}
	var result v1.AlertNotificationResult
	if err := json.Unmarshal(answer, &result); err != nil || resp.StatusCode != http.StatusOK || result.Refused > 0 {
		t.Errorf("an answer that Alertmanager does not repeat the notification after: %d %.300s, %v", resp.StatusCode, answer, err)
	}
	return &result, ""
}

// acknowledgedIn returns the Executions that an answer says are stored.
func acknowledgedIn(result *v1.AlertNotificationResult) []string {
	var names []string
	for i := range result.Alerts {
		for j := range result.Alerts[i].Reactions {
			names = append(names, result.Alerts[i].Reactions[j].Execution)
		}
	}
	return names
}

// expectStored fails the test unless all these Executions are there.
func expectStored(t *testing.T, namespace string, acknowledged sets.Set[string]) []v1.Execution {
	t.Helper()
	items, err := executions(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	missing := acknowledged.Clone()
	for i := range items {
		missing.Delete(items[i].Name)
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d acknowledged executions are not stored: %v", len(missing), len(acknowledged), sets.List(missing))
	}
	return items
}

// large returns an alert of some 100 KiB.
func large(name string, n int) v1.NotificationAlert {
	alert := firing(name, time.Now(), "n", fmt.Sprint(n))
	alert.Annotations = map[string]string{"description": strings.Repeat("x", 100<<10)}
	return alert
}

// waitEvent waits until an Event of a reason about a namespace says something.
func waitEvent(t *testing.T, namespace, reason, says string) {
	t.Helper()
	eventually(t, "an event "+reason, func(ctx context.Context) error {
		list, err := cluster.Client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if strings.Contains(list.Items[i].Message, says) {
				return nil
			}
		}
		return fmt.Errorf("%d events of that reason", len(list.Items))
	})
}

// waitMetric waits until the server reports a line among its metrics.
func waitMetric(t *testing.T, k *localcluster.Karo, line string) {
	t.Helper()
	direct, err := versioned.NewForConfig(k.Config())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the metric "+line, func(ctx context.Context) error {
		text, err := direct.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err == nil && !strings.Contains(string(text), "\n"+line+"\n") {
			err = errors.New("it is not there")
		}
		return err
	})
}

// fillStore sends notifications from several senders at once until they are refused because the store is full. Each is of a
// large alert, and now and then of a small one too. It returns what was acknowledged.
func fillStore(t *testing.T, s *sender, namespace string, alertName func(n int) string, small string) sets.Set[string] {
	t.Helper()
	acknowledged, refused := sets.New[string](), ""
	var lock sync.Mutex
	var senders sync.WaitGroup
	for i := range 4 {
		senders.Go(func() {
			for n := range 400 {
				alerts := []v1.NotificationAlert{large(alertName(n), i*1000+n)}
				if n%8 == 0 {
					alerts = append(alerts, firing(small, time.Now(), "n", fmt.Sprint(i*1000+n)))
				}
				result, message := s.try(t, namespace, alerts...)
				lock.Lock()
				if result != nil {
					acknowledged.Insert(acknowledgedIn(result)...)
				} else if strings.Contains(message, "the store is full") {
					refused = message
				}
				full := refused != ""
				lock.Unlock()
				if full || t.Failed() {
					return
				}
			}
		})
	}
	senders.Wait()
	if !strings.Contains(refused, "of 32 MiB that it may have (--embedded-etcd-quota-bytes)") || len(acknowledged) < 100 {
		t.Fatalf("after %d executions it says %q", len(acknowledged), refused)
	}
	t.Logf("%d executions were stored", len(acknowledged))
	return acknowledged
}

// waitRoom sends a notification until it is taken.
func waitRoom(t *testing.T, s *sender, namespace string, alert v1.NotificationAlert) {
	t.Helper()
	var result *v1.AlertNotificationResult
	eventually(t, "room", func(context.Context) error {
		message := ""
		if result, message = s.try(t, namespace, alert); result == nil {
			return errors.New(message)
		}
		return nil
	})
	expectCounts(t, result, 1, 0, 0, 0)
}

// A store that is full takes no notifications, which come again, and says why; what was taken is there, and runs; and once
// something has been deleted it takes them again.
func TestFullStore(t *testing.T) {
	k := takeOver(t, "karo-full-store", "--embedded-etcd-quota-bytes="+fmt.Sprint(32<<20))
	// What waits for its Job cannot be pruned.
	held := newNamespace(t)
	newReaction(t, held, "waits", "A", "busybox")
	newReaction(t, held, "waits-too", "B", "busybox")
	lift := forbidJobs(t, held)
	toHeld := newSender(t, held)
	acknowledged := fillStore(t, toHeld, held, func(int) string { return "A" }, "B")

	// It is told, and everything but notifications goes on.
	waitEvent(t, localcluster.KaroNamespace, "StoreFull", "the store is full")
	waitMetric(t, k, "karo_etcd_full 1")
	late := firing("B", time.Now(), "n", "late")
	if result, message := toHeld.try(t, held, late); result != nil || !strings.Contains(message, "the store is full") {
		t.Errorf("still full, it answers %+v %q", result, message)
	}
	// What was taken is written once more, to say what it waits for, and is when it is deleted. That may use up the reserve of
	// so small a store, for a moment: until the history of it goes.
	again := func(stdin string, args ...string) {
		t.Helper()
		eventually(t, "kubectl "+strings.Join(args, " "), func(ctx context.Context) error {
			_, err := cluster.Kubectl(ctx, stdin, args...)
			return err
		})
	}
	again(fmt.Sprintf(reactionBody, "another"), "apply", "-n", held, "-f", "-")
	again(`{"labels":{"n":"hand"}}`, "create", "--raw", "/apis/karo.io/v1/namespaces/"+held+"/alertreactions/another/executions", "-f", "-")
	expectStored(t, held, acknowledged)

	again("", "delete", "executions", "-n", held, "-l", "karo.io/reaction=waits", "--ignore-not-found")
	waitRoom(t, toHeld, held, late)
	waitEvent(t, localcluster.KaroNamespace, "StoreHasRoom", "has room again")
	waitMetric(t, k, "karo_etcd_full 0")
	lift()
	eventually(t, "what was taken to run", func(ctx context.Context) error {
		items, err := executions(ctx, held)
		for i := range items {
			if phase := items[i].Status.Phase; err == nil && phase != v1.PhaseSucceeded {
				err = fmt.Errorf("execution %s is %s", items[i].Name, phase)
			}
		}
		return err
	})
}

// A store that history has filled up makes room by itself.
func TestStoreFullOfHistory(t *testing.T) {
	takeOver(t, "karo-full-history", "--embedded-etcd-quota-bytes="+fmt.Sprint(32<<20))
	namespace := newNamespace(t)
	const reactions = 8
	name := func(n int) string { return fmt.Sprint("a", n%reactions) }
	for i := range reactions {
		createReaction(t, namespace, &v1.AlertReaction{
			ObjectMeta: metav1.ObjectMeta{Name: name(i)},
			Spec:       v1.AlertReactionSpec{AlertName: name(i), Suspend: new(true), Actions: []v1.Action{{Name: "act", Image: "busybox"}}},
		})
	}
	newReaction(t, namespace, "runs", "B", "busybox")
	s := newSender(t, namespace)
	fillStore(t, s, namespace, name, "B")
	waitRoom(t, s, namespace, firing("B", time.Now(), "n", "late"))
	items, err := executions(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int{}
	for i := range items {
		kept[items[i].Spec.Reaction.Name]++
	}
	// Once there is room the others may keep what they have.
	shortened := 0
	for i := range reactions {
		switch n := kept[name(i)]; {
		case n < 10:
			t.Errorf("%d executions of the reaction %s are kept, not 10", n, name(i))
		case n == 10:
			shortened++
		}
	}
	if shortened == 0 {
		t.Errorf("no history is shorter: %v", kept)
	}
}

// A disk that is full ends the server at the latest when it has to write. Nothing that was acknowledged is lost, senders
// are told to try again, it says what is the matter, and it goes on once there is room.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small disk")
	}
	// The log of etcd alone takes two segments of 64 MB, and two more are to be free.
	dir, err := os.MkdirTemp("", "karo-disk")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=320m"); err != nil {
		_ = os.Remove(dir)
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		_ = os.Remove(dir)
	})
	k := takeOver(t, "karo-full-disk", "--data-dir="+filepath.Join(dir, "karo"))
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	s := newSender(t, namespace)
	acknowledged := sets.New[string]()
	n := 0
	send := func() string {
		n++
		result, message := s.try(t, namespace, large("A", n))
		if result != nil {
			acknowledged.Insert(acknowledgedIn(result)...)
		}
		return message
	}
	if message := send(); message != "" {
		t.Fatalf("with room, it says %s", message)
	}

	fillDisk(t, filepath.Join(dir, "junk"), 32<<20)
	eventually(t, "notifications to be refused", func(context.Context) error {
		if message := send(); strings.Contains(message, "the disk of the store (--data-dir) is full") {
			return nil
		} else if message != "" {
			return errors.New(message)
		}
		return errors.New("they are taken")
	})
	waitEvent(t, localcluster.KaroNamespace, "StoreFull", "the disk of the store")
	// Whoever goes on writing finds the end of the disk.
	for i := range 1000 {
		_, err := client.KaroV1().AlertReactions(namespace).Create(t.Context(), &v1.AlertReaction{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("large-", i)},
			Spec: v1.AlertReactionSpec{AlertName: "B", Actions: []v1.Action{
				{Name: "act", Image: "busybox", Args: []string{strings.Repeat("x", 200<<10)}},
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Logf("the reaction %d: %v", i, err)
			break
		}
	}
	select {
	case <-k.Process().Exited():
	case <-time.After(patience):
		t.Fatal("it writes on without a disk")
	}
	if log, err := os.ReadFile(k.Process().LogFile); err != nil || !strings.Contains(string(log), "no space left on device") {
		t.Errorf("its log does not say why it ended: %v", err)
	}
	fillDisk(t, filepath.Join(dir, "more"), 0)
	for range 5 {
		if send() == "" {
			t.Error("a notification is taken while there is no server")
		}
	}
	if err := k.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk of the data directory "+filepath.Join(dir, "karo")+" is full") {
		t.Errorf("on the full disk, it starts: %v", err)
	}

	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=900m"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.Start(t.Context()), k.Available(t.Context())); err != nil {
		t.Fatal(err)
	}
	eventually(t, "notifications to be taken", func(context.Context) error {
		if message := send(); message != "" {
			return errors.New(message)
		}
		return nil
	})
	t.Logf("%d of %d notifications were acknowledged", len(acknowledged), n)
	for _, e := range expectStored(t, namespace, acknowledged) {
		waitPhase(t, namespace, e.Name, v1.PhaseSucceeded)
	}
}

// fillDisk writes until no more than so many bytes are left of a disk: too little to take notifications, and, unless it is
// 0, enough for what the server has under way.
func fillDisk(t *testing.T, path string, left uint64) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 64<<10); ; {
		var disk syscall.Statfs_t
		if err := syscall.Fstatfs(int(file.Fd()), &disk); err != nil {
			t.Fatal(err)
		}
		if left > 0 && disk.Bavail*uint64(disk.Bsize) <= left {
			return
		}
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A namespace has no more reactions, and no more Executions, than it may. Whoever asks for more is told what to do, and of
// a notification only that run is refused, until there is room.
func TestCaps(t *testing.T) {
	k := takeOver(t, "karo-caps", "--max-reactions-per-namespace=2", "--max-executions-per-namespace=3")
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	newReaction(t, namespace, "second", "B", "busybox")
	third := &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "third"},
		Spec:       v1.AlertReactionSpec{AlertName: "A", Actions: []v1.Action{{Name: "act", Image: "busybox"}}},
	}
	reactions := client.KaroV1().AlertReactions(namespace)
	_, err := reactions.Create(t.Context(), third, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: namespace "+namespace+" has 2 alertreactions, and may have 2; delete some") {
		t.Errorf("a third reaction: %v", err)
	}
	if out, err := cluster.Kubectl(t.Context(), fmt.Sprintf(reactionBody, "third"), "apply", "--server-side", "-n", namespace, "-f", "-"); err == nil || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("applied: %s %v", out, err)
	}
	other := newNamespace(t)
	newReaction(t, other, "third", "A", "busybox")
	kubectl(t, "", "delete", "alertreaction", "second", "-n", namespace)
	eventually(t, "room for a reaction", func(ctx context.Context) error {
		_, err := reactions.Create(ctx, third, metav1.CreateOptions{})
		return err
	})

	s := newSender(t, namespace)
	start := time.Now()
	expectCounts(t, s.trigger(t, namespace, firing("A", start, "n", "1")), 2, 0, 0, 0) // Both reactions.
	result := s.trigger(t, namespace, firing("A", start, "n", "1"), firing("A", start, "n", "2"))
	expectCounts(t, result, 1, 2, 0, 1)
	refused := result.Alerts[1].Reactions[0]
	if refused.Outcome != v1.RunRefused {
		refused = result.Alerts[1].Reactions[1]
	}
	const says = "exceeded quota: namespace %s has 3 executions, and may have 3; delete some that have ended"
	if refused.Reason != v1.ReasonTooManyExecutions || refused.Execution != "" || !strings.Contains(refused.Message, fmt.Sprintf(says, namespace)) {
		t.Errorf("refused: %+v", refused)
	}
	waitEvent(t, namespace, "Refused", "exceeded quota")
	waitMetric(t, k, `karo_runs_total{outcome="Refused"} 1`)
	byHand := "/apis/karo.io/v1/namespaces/" + namespace + "/alertreactions/r/executions"
	if out, err := cluster.Kubectl(t.Context(), "{}", "create", "--raw", byHand, "-f", "-"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf(says, namespace)) {
		t.Errorf("by hand: %s %v", out, err)
	}
	// The counts are of what is stored.
	k.Process().Kill()
	if err := errors.Join(k.Start(t.Context()), k.Available(t.Context())); err != nil {
		t.Fatal(err)
	}
	expectCounts(t, s.trigger(t, namespace, firing("A", start, "n", "1"), firing("A", start, "n", "2")), 0, 3, 0, 1)

	waitFinished(t, namespace, 3, v1.PhaseSucceeded)
	kubectl(t, "", "delete", "executions", "--all", "-n", namespace, "--timeout=90s")
	eventually(t, "the refused run", func(context.Context) error {
		if result := s.trigger(t, namespace, firing("A", start, "n", "2")); result.Created != 1 || result.Known != 1 {
			return fmt.Errorf("%+v", result)
		}
		return nil
	})
	waitFinished(t, namespace, 1, v1.PhaseSucceeded)
}
