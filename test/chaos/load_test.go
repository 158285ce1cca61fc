// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
)

// The kinds of alerts, by their name, with the Jobs that each becomes while it fires: the reaction and the action.
var firingJobs = map[string][]string{
	"One":        {"one/a", "also/a"},
	"Parallel":   {"parallel/a", "parallel/b"},
	"Sequential": {"sequential/a", "sequential/b"},
	"Fails":      {"fails/a"},
	"Short":      {"short/a", "also/a"},
	"Both":       {"both/a"},
}

// resolvedJobs are those that it becomes when it is resolved.
var resolvedJobs = map[string][]string{"Both": {"both/a"}}

// reactions are what the kinds of alerts run.
func reactions() []*v1.AlertReaction {
	action := func(name, image string) v1.Action {
		return v1.Action{Name: name, Image: image, Env: []v1.EnvVar{
			{Name: "ID", Value: "labels.id"}, {Name: "OCCURRENCE", Value: "annotations.occurrence"}, {Name: "STATUS", Value: "status"},
		}}
	}
	// The Job is removed a minute after its end, jobs.MinLife, so that only what is stored keeps it from running again. In the
	// short run that comes after the faults.
	short := action("a", "localcluster/quick")
	short.TTLSecondsAfterFinished = new(int32)
	reaction := func(name string, spec v1.AlertReactionSpec) *v1.AlertReaction {
		return &v1.AlertReaction{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	return []*v1.AlertReaction{
		reaction("one", v1.AlertReactionSpec{AlertName: "One", Actions: []v1.Action{action("a", "localcluster/quick")}}),
		reaction("also", v1.AlertReactionSpec{
			Matchers: []v1.Matcher{{Name: "alertname", Operator: "=~", Value: "One|Short"}}, Actions: []v1.Action{short},
		}),
		reaction("parallel", v1.AlertReactionSpec{AlertName: "Parallel", Actions: []v1.Action{action("a", "localcluster/quick"), action("b", "localcluster/quick")}}),
		reaction("sequential", v1.AlertReactionSpec{
			AlertName: "Sequential", Order: v1.OrderSequential, Actions: []v1.Action{action("a", "busybox"), action("b", "busybox")},
		}),
		reaction("fails", v1.AlertReactionSpec{
			AlertName: "Fails", Order: v1.OrderSequential, Actions: []v1.Action{action("a", "localcluster/fail"), action("b", "busybox")},
		}),
		reaction("short", v1.AlertReactionSpec{AlertName: "Short", Actions: []v1.Action{short}}),
		reaction("both", v1.AlertReactionSpec{AlertName: "Both", When: []v1.When{v1.WhenFiring, v1.WhenResolved}, Actions: []v1.Action{short}}),
	}
}

// group is what Alertmanager calls one: alerts that are sent together, some times.
type group struct {
	namespace, alertName string
	first, size          int           // the number of its first alert, and how many it has
	at                   time.Duration // when it is sent first, from the beginning
	apart                time.Duration // how long after the one sender the other sends
	startsAt             time.Duration // relative to when it is sent first; it may be later than that
	rounds               []round       // what is sent, one after the other
	seed                 uint64        // of the ways that its notifications take
}

// round is one state of a group that each sender sends until it is acknowledged.
type round struct {
	status     v1.AlertStatus
	occurrence int
}

// Of groups there are those that are sent once, repeated, resolved, and resolved and fire again.
var courses = [][]round{
	{{v1.AlertFiring, 0}},
	{{v1.AlertFiring, 0}, {v1.AlertFiring, 0}},
	{{v1.AlertFiring, 0}, {v1.AlertResolved, 0}},
	{{v1.AlertFiring, 0}, {v1.AlertResolved, 0}, {v1.AlertFiring, 1}},
}

// plan returns groups with a number of alerts in all, spread over a time.
func plan(random *rand.Rand, namespaces []string, kinds []string, alerts int, over time.Duration) []group {
	var groups []group
	for first := 0; first < alerts; {
		g := group{
			namespace: namespaces[random.IntN(len(namespaces))], alertName: kinds[random.IntN(len(kinds))],
			first: first, size: min(1+random.IntN([]int{5, 5, 5, 50}[random.IntN(4)]), alerts-first),
			at:    time.Duration(random.Int64N(int64(over))),
			apart: time.Duration(random.IntN(3)) * time.Second,
			seed:  random.Uint64(), rounds: courses[random.IntN(len(courses))],
		}
		switch random.IntN(4) {
		case 0:
			g.startsAt = -time.Duration(random.Int64N(int64(time.Hour)))
		case 1: // Of a clock that is ahead. What fires again later is ordered by its arrival, so here nothing does.
			g.startsAt, g.rounds = time.Duration(random.Int64N(int64(time.Minute))), courses[0]
		}
		groups = append(groups, g)
		first += g.size
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(a.at, b.at) })
	return groups
}

// answer is what became of one attempt to send a notification.
type answer struct {
	began, ended time.Time
	through      string // the name of a replica, or "kube-apiserver"
	code         int    // 0 if there was none, or skipped
	said         string // if the code is 500
}

// skipped stands for the answer to an attempt that was not made, since what it would have gone through had just started.
const skipped = -1

// load is the notifications of a test, and what became of them.
type load struct {
	t          *testing.T
	namespaces []string
	// ways says through which programs an attempt may go. Several may be the same.
	ways func() []string
	// disturbed says that the kube-apiserver or the kube-controller-manager is hit. The cluster may then start the pod of a
	// Job twice: its controller does not know whether a pod was created whose creation was not answered.
	disturbed bool
	// patience is how long a sender waits for one answer, if that is not until the turn of its group is over.
	patience time.Duration

	clients map[string]*http.Client // of each way
	urls    map[string]string

	lock    sync.Mutex
	answers []answer
	sent    []sent
	wanted  map[job]time.Time // when it was acknowledged first; zero until then
	alerts  int
	sends   int // notifications that were acknowledged
	wrong   []string
}

// sent is a notification that was acknowledged to both senders.
type sent struct {
	group group
	round round
	body  []byte
}

const viaCluster = "kube-apiserver"

// newLoad creates namespaces with reactions, and the ServiceAccount of a sender. Unless told otherwise, half of the
// attempts go through the kube-apiserver, and the others to each of the replicas, as another kube-apiserver would lead
// them.
func newLoad(t *testing.T, name string, n int) *load {
	t.Helper()
	t.Cleanup(func() { blame(t) })
	l := &load{t: t, wanted: map[job]time.Time{}, clients: map[string]*http.Client{}, urls: map[string]string{}}
	l.ways = func() []string {
		return []string{viaCluster, viaCluster, viaCluster, karos[0].Name, karos[1].Name, karos[2].Name}
	}
	for i := range n {
		l.namespaces = append(l.namespaces, fmt.Sprintf("%s-%d", name, i))
	}
	for _, namespace := range l.namespaces {
		if _, err := cluster.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, reaction := range reactions() {
			if _, err := client.KaroV1().AlertReactions(namespace).Create(t.Context(), reaction, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	home := l.namespaces[0]
	token, err := cluster.Token(t.Context(), home, "sender")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(t.Context(), "", "create", "clusterrolebinding", home+"-sender",
		"--clusterrole=karo-cluster-alert-sender", "--serviceaccount="+home+":sender"); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(t.Context(), "", "create", "clusterrolebinding", home+"-namespaces-sender",
		"--clusterrole=karo-alert-sender", "--serviceaccount="+home+":sender"); err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(cluster.Config)
	config.BearerToken = token
	l.addWay(viaCluster, config)
	for _, p := range karos {
		l.addWay(p.Name, asAggregator(p.config, serviceaccount.MakeUsername(home, "sender")))
	}
	l.until("the sender to be allowed", func(ctx context.Context) error {
		review, err := cluster.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               serviceaccount.MakeUsername(home, "sender"),
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "create", Group: "karo.io", Resource: "clusteralerts", Name: "trigger"},
			},
		}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			err = errors.New("it is not")
		}
		return err
	})
	return l
}

// asAggregator returns the credentials with which a kube-apiserver hands on what a user asks. With them we are another
// kube-apiserver of the cluster, one that no fault hits.
func asAggregator(config *rest.Config, user string) *rest.Config {
	config = rest.CopyConfig(config)
	config.CertFile = filepath.Join(cluster.Dir, "front-proxy-client.crt")
	config.KeyFile = filepath.Join(cluster.Dir, "front-proxy-client.key")
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		return transport.NewAuthProxyRoundTripper(user, "", []string{"system:serviceaccounts", "system:authenticated"}, nil, rt)
	})
	return config
}

func (l *load) addWay(name string, config *rest.Config) {
	l.t.Helper()
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(h.CloseIdleConnections)
	l.clients[name], l.urls[name] = h, config.Host
}

// deadline returns a context in which everything is to be acknowledged that is sent over a time.
func deadline(t *testing.T, over time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), over+5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// acknowledged fails the test when the time of what was sent is over, so that some of it may be given up.
func acknowledged(ctx context.Context, t *testing.T) {
	t.Helper()
	if ctx.Err() != nil {
		t.Fatal("there are notifications that are not acknowledged, long after everything is healed")
	}
}

// until waits until check returns nil.
func (l *load) until(what string, check func(context.Context) error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), settling())
	defer cancel()
	if err := cluster.Until(ctx, what, check); err != nil {
		l.t.Fatal(err) // What is counted before it is there would be called lost.
	}
}

// send sends groups, each by two senders, and returns once everything is acknowledged to both.
func (l *load) send(ctx context.Context, groups []group) {
	var all sync.WaitGroup
	began := time.Now()
	for _, g := range groups {
		l.lock.Lock()
		l.alerts += g.size
		l.lock.Unlock()
		all.Go(func() {
			sleep(ctx, time.Until(began.Add(g.at)))
			startsAt := time.Now().Add(g.startsAt)
			for i, r := range g.rounds {
				if r.occurrence > 0 {
					startsAt = time.Now()
				}
				body := g.notification(r, startsAt)
				l.want(g.jobs(r))
				var senders sync.WaitGroup
				for s := range 2 {
					random := rand.New(rand.NewPCG(g.seed, uint64(2*i+s)))
					senders.Go(func() {
						sleep(ctx, time.Duration(s)*g.apart)
						l.deliver(ctx, random, &g, r, body)
					})
				}
				senders.Wait()
				l.lock.Lock()
				l.sent = append(l.sent, sent{g, r, body})
				l.lock.Unlock()
			}
		})
	}
	all.Wait()
}

// repeat sends everything once more, now that it has run, as Alertmanager does every few hours.
func (l *load) repeat(ctx context.Context) {
	var all errgroup.Group
	all.SetLimit(10)
	for i, s := range l.sent {
		all.Go(func() error {
			result := l.deliver(ctx, rand.New(rand.NewPCG(s.group.seed, uint64(i))), &s.group, s.round, s.body)
			if result != nil && result.Created > 0 {
				l.accuse("what has run runs again: %d of %s in %s, round %+v", result.Created, s.group.alertName, s.group.namespace, s.round)
			}
			return nil
		})
	}
	_ = all.Wait()
}

// notification returns what Alertmanager sends of a group.
func (g *group) notification(r round, startsAt time.Time) []byte {
	at, ends := nanotime.New(startsAt), nanotime.New(time.Time{})
	if r.status == v1.AlertResolved {
		ends = nanotime.New(time.Now())
	}
	var alerts []v1.NotificationAlert
	for i := range g.size {
		alerts = append(alerts, v1.NotificationAlert{
			Status:      r.status,
			Labels:      map[string]string{"alertname": g.alertName, "namespace": g.namespace, "id": g.id(i)},
			Annotations: map[string]string{"occurrence": strconv.Itoa(r.occurrence)},
			StartsAt:    &at, EndsAt: &ends,
		})
	}
	body, err := json.Marshal(map[string]any{
		"version": "4", "status": r.status, "receiver": "karo", "groupKey": "{}:{alertname=\"" + g.alertName + "\"}", "alerts": alerts,
	})
	if err != nil {
		panic(err) // Of nothing that can fail.
	}
	return body
}

func (g *group) id(i int) string { return strconv.Itoa(g.first + i) }

// jobs returns the Jobs that the alerts of a round become.
func (g *group) jobs(r round) []job {
	var jobs []job
	for i := range g.size {
		for _, name := range jobsOf(g.alertName, r.status) {
			reaction, action, _ := strings.Cut(name, "/")
			jobs = append(jobs, job{
				Namespace: g.namespace, Reaction: reaction, Action: action,
				Alert: g.id(i), Occurrence: strconv.Itoa(r.occurrence), Status: string(r.status),
			})
		}
	}
	return jobs
}

func jobsOf(alertName string, status v1.AlertStatus) []string {
	if status == v1.AlertResolved {
		return resolvedJobs[alertName]
	}
	return firingJobs[alertName]
}

// want notes which Jobs there are to be.
func (l *load) want(jobs []job) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, j := range jobs {
		if _, is := l.wanted[j]; !is {
			l.wanted[j] = time.Time{}
		}
	}
}

// flush is how long Alertmanager tries to send a notification, at least, before the group has its turn again.
const flush = 10 * time.Second

// deliver sends a notification as Alertmanager does, until it is acknowledged: again and again after 5xx and errors of the
// network, ever more rarely, and from the beginning when the group has its next turn.
func (l *load) deliver(ctx context.Context, random *rand.Rand, g *group, r round, body []byte) *v1.AlertNotificationResult {
	for ctx.Err() == nil {
		turn, cancel := context.WithTimeout(ctx, flush)
		backoff := wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.5, Steps: 100, Cap: time.Minute}
		for turn.Err() == nil {
			ways := l.ways()
			way := ways[random.IntN(len(ways))]
			path := "/apis/karo.io/v1/namespaces/" + g.namespace + "/alerts/trigger"
			if random.IntN(4) == 0 {
				path = "/apis/karo.io/v1/clusteralerts/trigger"
			}
			attempt, given := turn, context.CancelFunc(func() {})
			if l.patience > 0 {
				attempt, given = context.WithTimeout(ctx, l.patience)
			}
			code, said := l.post(attempt, way, path, body)
			given()
			if code/100 == 2 {
				cancel()
				return l.acknowledge(g, r, said)
			}
			if code > 0 && code/100 != 5 {
				l.accuse("%s answers %d to %s, after which Alertmanager does not try again: %s", way, code, path, said)
				break
			}
			sleep(turn, backoff.Step())
		}
		<-turn.Done()
		cancel()
	}
	return nil
}

// post makes one attempt.
func (l *load) post(ctx context.Context, way, path string, body []byte) (code int, said []byte) {
	a := answer{began: time.Now(), through: way}
	defer func() {
		a.ended, a.code = time.Now(), code
		if code == http.StatusInternalServerError {
			a.said = string(said)
		}
		l.lock.Lock()
		defer l.lock.Unlock()
		l.answers = append(l.answers, a)
	}()
	// Whatever stands before several kube-apiservers leads to none that has just started: it forbids everything until it
	// has read the roles.
	if way == viaCluster && kubeAPIServer.down.Load() {
		return skipped, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.urls[way]+path, bytes.NewReader(body))
	if err != nil {
		panic(err) // Of nothing that can fail.
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.clients[way].Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	// Alertmanager looks at the status alone.
	said, _ = io.ReadAll(resp.Body)
	return resp.StatusCode, said
}

// accuse notes something that must not happen.
func (l *load) accuse(format string, args ...any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// acknowledge notes that a notification was answered with 2xx, and looks whether all of it was understood.
func (l *load) acknowledge(g *group, r round, said []byte) *v1.AlertNotificationResult {
	now := time.Now()
	l.lock.Lock()
	l.sends++
	for _, j := range g.jobs(r) {
		if l.wanted[j].IsZero() {
			l.wanted[j] = now
		}
	}
	l.lock.Unlock()
	var result v1.AlertNotificationResult
	if err := json.Unmarshal(said, &result); err != nil {
		return nil // The connection broke off in the answer, which a sender does not read.
	}
	want := g.size * len(reactionsOf(g.alertName, r.status))
	if got := int(result.Created + result.Known); got != want || result.Skipped+result.Refused > 0 {
		l.accuse("of %d runs of %s in %s, round %+v, an answer has %d created, %d known, %d skipped, %d refused, %d unmatched: %s",
			want, g.alertName, g.namespace, r, result.Created, result.Known, result.Skipped, result.Refused, result.Unmatched, said)
	}
	return &result
}

// reactionsOf returns the reactions that answer a kind of alert.
func reactionsOf(alertName string, status v1.AlertStatus) []string {
	var names []string
	for _, name := range jobsOf(alertName, status) {
		reaction, _, _ := strings.Cut(name, "/")
		names = append(names, reaction)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// kept is how many Executions of a reaction are kept, whatever their age.
const kept = 100

// run identifies an Execution as its Jobs are identified.
func (j job) run() job {
	j.Action = ""
	return j
}

// settling is how long the cluster may take to run all that was begun: a small machine is busy with that for a while.
func settling() time.Duration { return max(2*healing, *duration/2) }

// settle waits until every Execution has ended, and returns how long after its beginning that was.
func (l *load) settle() time.Duration {
	l.t.Helper()
	began := time.Now()
	l.until("every execution to end", func(ctx context.Context) error {
		for _, namespace := range l.namespaces {
			list, err := client.KaroV1().Executions(namespace).List(ctx, metav1.ListOptions{
				FieldSelector: "status.phase!=" + string(v1.PhaseSucceeded) + ",status.phase!=" + string(v1.PhaseFailed),
			})
			if err != nil {
				return err
			}
			if n := len(list.Items); n > 0 {
				return fmt.Errorf("%d have not, as %s/%s: %+v", n, namespace, list.Items[0].Name, list.Items[0].Status)
			}
		}
		return nil
	})
	return time.Since(began)
}

// count is the result of a test.
type count struct {
	wanted, created, lost, doubled int
	restarted                      int           // Jobs of which the cluster itself started several pods
	slowest                        time.Duration // from the acknowledgement to the Job
	slowestJob                     job
}

// check compares the Jobs that were ever created with those that were to be, and what Karo says of them.
func (l *load) check() count {
	l.t.Helper()
	if err := jobs.current(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	jobs.lock.Lock()
	defer jobs.lock.Unlock()
	if jobs.err != nil {
		l.t.Fatalf("reading the jobs: %v", jobs.err)
	}
	for _, w := range l.wrong {
		l.t.Error(w)
	}
	result := count{wanted: len(l.wanted)}
	runs := map[string]map[job]bool{} // of each reaction
	for j, acknowledged := range l.wanted {
		key := j.Namespace + "/" + j.Reaction
		if runs[key] == nil {
			runs[key] = map[job]bool{}
		}
		runs[key][j.run()] = true
		made := jobs.jobs[j]
		result.created += len(made)
		switch {
		case len(made) == 0:
			result.lost++
			l.t.Errorf("lost: %+v, acknowledged at %s", j, acknowledged.Format(time.StampMicro))
			continue
		case len(made) > 1:
			result.doubled++
			l.t.Errorf("doubled: %+v: %s", j, made)
		}
		// Some wait for a Job before them as well.
		alone := j.Action == "a" || j.Reaction == "parallel"
		if took := made[0].at.Sub(acknowledged); took > result.slowest && alone && j.Status == string(v1.AlertFiring) {
			result.slowest, result.slowestJob = took, j
		}
		for _, m := range made {
			switch n := jobs.pods[m.uid]; {
			case n == 0, n > 1 && !l.disturbed:
				l.t.Errorf("job %s/%s had %d pods", j.Namespace, m.name, n)
			case n > 1:
				result.restarted++
			}
		}
	}
	for j, made := range jobs.jobs {
		if _, is := l.wanted[j]; !is && slices.Contains(l.namespaces, j.Namespace) {
			result.created += len(made)
			l.t.Errorf("nobody wanted %+v: %s", j, made)
		}
	}
	for _, namespace := range l.namespaces {
		l.checkExecutions(namespace, runs)
	}
	return result
}

// checkExecutions compares the Executions with the runs that there were to be of each reaction.
func (l *load) checkExecutions(namespace string, runs map[string]map[job]bool) {
	l.t.Helper()
	list, err := client.KaroV1().Executions(namespace).List(l.t.Context(), metav1.ListOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	found := map[string]int{}
	for i := range list.Items {
		e := &list.Items[i]
		found[e.Spec.Reaction.Name]++
		want := v1.PhaseSucceeded
		if e.Spec.Reaction.Name == "fails" {
			want = v1.PhaseFailed
		}
		if e.Status.Phase != want || !meta.IsStatusConditionTrue(e.Status.Conditions, v1.ConditionFinished) {
			l.t.Errorf("execution %s/%s is %s: %+v", namespace, e.Name, e.Status.Phase, e.Status)
		}
		if e.Spec.Alert.Annotations["occurrence"] == "" {
			l.t.Errorf("execution %s/%s has lost the annotations of its alert", namespace, e.Name)
		}
	}
	for _, r := range reactions() {
		want := len(runs[namespace+"/"+r.Name])
		// Those that ended well without a Job to keep are pruned.
		if have := found[r.Name]; have > want || have < min(want, kept) {
			l.t.Errorf("reaction %s/%s has %d executions of %d", namespace, r.Name, have, want)
		}
		l.until("reaction "+r.Name+" to have its runs counted", func(ctx context.Context) error {
			reaction, err := client.KaroV1().AlertReactions(namespace).Get(ctx, r.Name, metav1.GetOptions{})
			if err == nil && int(reaction.Status.TriggerCount) != want {
				err = fmt.Errorf("it says %d, not %d", reaction.Status.TriggerCount, want)
			}
			return err
		})
	}
}

// codes says how often each status was answered.
func (l *load) codes() string {
	n := map[int]int{}
	for _, a := range l.answers {
		n[a.code]++
	}
	var said []string
	for _, code := range slices.Sorted(maps.Keys(n)) {
		name := strconv.Itoa(code)
		switch code {
		case 0:
			name = "none"
		case skipped:
			name = "not made, without a kube-apiserver that is ready"
		}
		said = append(said, fmt.Sprintf("%s: %d", name, n[code]))
	}
	return strings.Join(said, ", ")
}
