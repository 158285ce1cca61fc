// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package matching

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
)

// source stands in for an informer: a test puts objects in its indexer, and tells its handler of deletions, when it
// wants to.
type source struct {
	cache.SharedIndexInformer
	handler cache.ResourceEventHandler
}

func (s *source) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	s.handler = handler
	return nil, nil
}

func (s *source) put(t testing.TB, reactions ...*karo.AlertReaction) {
	t.Helper()
	for _, reaction := range reactions {
		if err := s.GetIndexer().Update(reaction); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *source) remove(t testing.TB, reaction *karo.AlertReaction, event any) {
	t.Helper()
	if err := s.GetIndexer().Delete(reaction); err != nil {
		t.Fatal(err)
	}
	s.handler.OnDelete(event)
}

func newIndex(t testing.TB, reactions ...*karo.AlertReaction) (*Index, *source) {
	t.Helper()
	s := &source{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.AlertReaction{}, 0, Indexers())}
	s.put(t, reactions...)
	index, err := NewIndex(s)
	if err != nil {
		t.Fatal(err)
	}
	return index, s
}

// reaction returns a reaction named namespace/name that answers alertName, if it is not "", and matchers, wherever the
// alert is of.
func reaction(namespace, name, alertName string, matchers ...karo.Matcher) *karo.AlertReaction {
	return &karo.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), Generation: 1},
		Spec:       karo.AlertReactionSpec{AlertName: alertName, Matchers: matchers, AlertScope: karo.ScopeCluster},
	}
}

func equal(name, value string) karo.Matcher {
	return karo.Matcher{Name: name, Operator: karo.MatchEqual, Value: value}
}

func alertOf(labels map[string]string) *karo.AlertOccurrence {
	return &karo.AlertOccurrence{Name: labels["alertname"], Labels: labels}
}

func expectMatch(t *testing.T, index *Index, namespace string, alert *karo.AlertOccurrence, want ...string) {
	t.Helper()
	var got []string
	matched, _ := index.Match(namespace, alert)
	for _, reaction := range matched {
		got = append(got, reaction.Namespace+"/"+reaction.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("in namespace %q: got %q, want %q", namespace, got, want)
	}
}

func TestIndexMatch(t *testing.T) {
	index, _ := newIndex(t,
		reaction("a", "by-name", "A"),
		reaction("a", "by-name-and-more", "A", equal("severity", "critical")),
		reaction("a", "other-name", "B"),
		reaction("a", "by-matcher", "", equal("alertname", "A")),
		reaction("a", "by-expression", "", karo.Matcher{Name: "alertname", Operator: karo.MatchRegexp, Value: "A|B"}),
		reaction("a", "catch-all", "", equal("severity", "critical")),
		reaction("a", "without-name", "", equal("alertname", ""), equal("severity", "critical")),
		reaction("a", "two-names", "", equal("alertname", "A"), equal("alertname", "B")),
		reaction("a", "annotation", "", equal("annotations.alertname", "A")),
		reaction("b", "by-name", "A"),
		reaction("b", "catch-all", "", equal("severity", "critical")),
		reaction("a-b", "by-name", "A"),
	)
	for name, tc := range map[string]struct {
		namespace string
		alert     *karo.AlertOccurrence
		want      []string
	}{
		"by name": {
			"a", alertOf(map[string]string{"alertname": "A"}),
			[]string{"a/by-name", "a/by-matcher", "a/by-expression"},
		},
		"by name and more": {
			"a", alertOf(map[string]string{"alertname": "A", "severity": "critical"}),
			[]string{"a/by-name", "a/by-name-and-more", "a/by-matcher", "a/by-expression", "a/catch-all"},
		},
		"another namespace": {
			"b", alertOf(map[string]string{"alertname": "A", "severity": "critical"}),
			[]string{"b/by-name", "b/catch-all"},
		},
		"a namespace that begins like another": {
			"a-b", alertOf(map[string]string{"alertname": "A"}),
			[]string{"a-b/by-name"},
		},
		"all namespaces": {
			"", alertOf(map[string]string{"alertname": "A"}),
			[]string{"a/by-name", "a/by-matcher", "a/by-expression", "b/by-name", "a-b/by-name"},
		},
		"only what asks for no name": {
			"a", alertOf(map[string]string{"alertname": "C", "severity": "critical"}),
			[]string{"a/catch-all"},
		},
		"an alert without a name, each once": {
			"a", alertOf(map[string]string{"severity": "critical"}),
			[]string{"a/catch-all", "a/without-name"},
		},
		"an annotation is no name": {
			"a", &karo.AlertOccurrence{Labels: map[string]string{"alertname": "C"}, Annotations: map[string]string{"alertname": "A"}},
			[]string{"a/annotation"},
		},
		"the label counts, not the name beside it": {
			"a", &karo.AlertOccurrence{Name: "A", Labels: map[string]string{"alertname": "C"}}, nil,
		},
		"a namespace without reactions": {"c", alertOf(map[string]string{"alertname": "A"}), nil},
		"nothing matches":               {"a", alertOf(map[string]string{"alertname": "C"}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			expectMatch(t, index, tc.namespace, tc.alert, tc.want...)
		})
	}
}

// Of the alerts of the whole cluster, a reaction is given those of its own namespace, unless it may answer all. Who sends
// to a namespace says itself whose alerts they are.
// Whatever the index looks up, it finds what asking every reaction would.
func TestIndexFindsWhatAllAre(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	operators := []karo.MatchOperator{"", karo.MatchEqual, karo.MatchNotEqual, karo.MatchRegexp, karo.MatchNotRegexp}
	var reactions []*karo.AlertReaction
	for i := range 500 {
		var matchers []karo.Matcher
		for range random.IntN(4) {
			matchers = append(matchers, karo.Matcher{
				Name: pick("alertname", "team", "pod", "annotations.team"), Operator: operators[random.IntN(len(operators))], Value: pick("", "a", "b", "a|b"),
			})
		}
		reactions = append(reactions, reaction(pick("x", "y"), fmt.Sprint("r-", i), pick("", "", "a"), matchers...))
	}
	index, _ := newIndex(t, reactions...)
	found := 0
	for range 200 {
		alert := alertOf(map[string]string{"alertname": pick("a", "b")})
		for _, label := range []string{"team", "pod"} {
			if random.IntN(3) > 0 {
				alert.Labels[label] = pick("a", "b", "")
			}
		}
		for _, namespace := range []string{"x", "y", ""} {
			var want []string
			for _, r := range reactions {
				if rules := index.Rules(r); rules != nil && rules.Match(alert) && (namespace == "" || namespace == r.Namespace) {
					want = append(want, r.Namespace+"/"+r.Name)
				}
			}
			expectMatch(t, index, namespace, alert, want...)
			found += len(want)
		}
	}
	if found < 1000 {
		t.Errorf("only %d matches: the test says little", found)
	}
}

// A reaction is not asked about an alert that lacks a label which it needs.
func TestNeededLabel(t *testing.T) {
	for name, tc := range map[string]struct {
		spec karo.AlertReactionSpec
		want string
	}{
		"the alert name":               {reaction("x", "r", "A", equal("team", "a")).Spec, labelKey("alertname", "A")},
		"the alert name as a matcher":  {reaction("x", "r", "", equal("team", "a"), equal("alertname", "A")).Spec, labelKey("alertname", "A")},
		"another label":                {reaction("x", "r", "", karo.Matcher{Name: "pod", Operator: karo.MatchRegexp, Value: "p"}, equal("team", "a"), equal("pod", "b")).Spec, labelKey("team", "a")},
		"an operator that is left out": {reaction("x", "r", "", karo.Matcher{Name: "team", Value: "a"}).Spec, labelKey("team", "a")},
		"the empty value":              {reaction("x", "r", "", equal("team", "")).Spec, anyLabel},
		"an annotation":                {reaction("x", "r", "", equal("annotations.team", "a")).Spec, anyLabel},
		"no equality":                  {reaction("x", "r", "", karo.Matcher{Name: "team", Operator: karo.MatchNotEqual, Value: ""}).Spec, anyLabel},
	} {
		t.Run(name, func(t *testing.T) {
			if got := neededLabel(&tc.spec); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestIndexScope(t *testing.T) {
	own, all := reaction("a", "own", "A"), reaction("a", "all", "A")
	own.Spec.AlertScope = karo.ScopeNamespace
	index, _ := newIndex(t, own, all)
	for name, tc := range map[string]struct {
		namespace string
		labels    map[string]string
		want      []string
		withheld  int
	}{
		"to the namespace":                  {"a", map[string]string{"alertname": "A", "namespace": "b"}, []string{"a/all", "a/own"}, 0},
		"to the cluster":                    {"", map[string]string{"alertname": "A", "namespace": "a"}, []string{"a/all", "a/own"}, 0},
		"to the cluster, of another":        {"", map[string]string{"alertname": "A", "namespace": "b"}, []string{"a/all"}, 1},
		"to the cluster, of none":           {"", map[string]string{"alertname": "A"}, []string{"a/all"}, 1},
		"to the cluster, what matches none": {"", map[string]string{"alertname": "B"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			expectMatch(t, index, tc.namespace, alertOf(tc.labels), tc.want...)
			if _, withheld := index.Match(tc.namespace, alertOf(tc.labels)); withheld != tc.withheld {
				t.Errorf("got %d withheld, want %d", withheld, tc.withheld)
			}
		})
	}
}

func TestIndexFollowsEdits(t *testing.T) {
	before := reaction("ns", "r", "A", equal("severity", "critical"))
	index, s := newIndex(t, before)
	critical := alertOf(map[string]string{"alertname": "A", "severity": "critical"})
	warning := alertOf(map[string]string{"alertname": "A", "severity": "warning"})
	expectMatch(t, index, "ns", critical, "ns/r")
	expectMatch(t, index, "ns", warning)

	after := before.DeepCopy()
	after.Generation = 2
	after.Spec.Matchers = []karo.Matcher{equal("severity", "warning")}
	s.put(t, after)
	expectMatch(t, index, "ns", critical)
	expectMatch(t, index, "ns", warning, "ns/r")

	renamed := after.DeepCopy()
	renamed.Generation = 3
	renamed.Spec.AlertName = "B"
	s.put(t, renamed)
	expectMatch(t, index, "ns", warning)
	expectMatch(t, index, "ns", alertOf(map[string]string{"alertname": "B", "severity": "warning"}), "ns/r")
}

// Compiling is what costs, so it is done once a generation; a change of the status is none.
// Between the moment when a reaction matched and the one when it runs it may have changed.
func TestStill(t *testing.T) {
	matched := reaction("ns", "r", "A", equal("severity", "critical"))
	critical := alertOf(map[string]string{"alertname": "A", "severity": "critical", "namespace": "other"})
	for name, tc := range map[string]struct {
		change func(*karo.AlertReaction)
		sentTo string
		still  bool
	}{
		"as it was":               {func(*karo.AlertReaction) {}, "ns", true},
		"it still matches":        {func(r *karo.AlertReaction) { r.Generation, r.Spec.Suspend = 2, new(true) }, "ns", true},
		"it does not":             {func(r *karo.AlertReaction) { r.Generation, r.Spec.AlertName = 2, "B" }, "ns", false},
		"it no longer answers it": {func(r *karo.AlertReaction) { r.Generation, r.Spec.AlertScope = 2, karo.ScopeNamespace }, "", false},
		"it is being deleted":     {func(r *karo.AlertReaction) { r.DeletionTimestamp = &metav1.Time{} }, "ns", false},
		"it is another one":       {func(r *karo.AlertReaction) { r.UID = "another" }, "ns", false},
	} {
		t.Run(name, func(t *testing.T) {
			now := matched.DeepCopy()
			tc.change(now)
			index, s := newIndex(t, now)
			if got := index.Still(tc.sentTo, critical, matched); (got == now) != tc.still || !tc.still && got != nil {
				t.Errorf("got %v, want it still to answer: %t", got, tc.still)
			}
			s.remove(t, now, now)
			if got := index.Still(tc.sentTo, critical, matched); got != nil {
				t.Errorf("got %v, which is gone", got)
			}
		})
	}
}

func TestRulesAreCompiledOnceAGeneration(t *testing.T) {
	r := reaction("ns", "r", "A")
	index, _ := newIndex(t, r)
	first := index.Rules(r)
	touched := r.DeepCopy()
	touched.ResourceVersion = "2"
	if second := index.Rules(touched); second != first {
		t.Error("the same generation was compiled again")
	}
	edited := r.DeepCopy()
	edited.Generation = 2
	if third := index.Rules(edited); third == first {
		t.Error("another generation has the rules of the first")
	}
}

func TestIndexOfWhatGoes(t *testing.T) {
	going := reaction("ns", "going", "A")
	going.DeletionTimestamp = &metav1.Time{}
	kept, deleted, missed := reaction("ns", "kept", "A"), reaction("ns", "deleted", "A"), reaction("ns", "missed", "A")
	index, s := newIndex(t, going, kept, deleted, missed)
	alert := alertOf(map[string]string{"alertname": "A"})
	expectMatch(t, index, "ns", alert, "ns/deleted", "ns/kept", "ns/missed")

	s.remove(t, deleted, deleted)
	// What a watch has missed arrives as a tombstone.
	s.remove(t, missed, cache.DeletedFinalStateUnknown{Key: "ns/missed", Obj: missed})
	expectMatch(t, index, "ns", alert, "ns/kept")
	var left []any
	index.compiled.Range(func(uid, _ any) bool { left = append(left, uid); return true })
	for _, uid := range left {
		if uid == deleted.UID || uid == missed.UID {
			t.Errorf("the rules of %s are still held", uid)
		}
	}
	// One of the same name is another one.
	again := reaction("ns", "deleted", "A")
	again.UID = "again"
	s.put(t, again)
	expectMatch(t, index, "ns", alert, "ns/deleted", "ns/kept")
}

// A reaction that was stored by an older version, or by hand, must not keep the others from answering.
func TestIndexSurvivesABadReaction(t *testing.T) {
	bad := reaction("ns", "bad", "A", karo.Matcher{Name: "a", Operator: karo.MatchRegexp, Value: "("})
	index, _ := newIndex(t, bad, reaction("ns", "good", "A"))
	expectMatch(t, index, "ns", alertOf(map[string]string{"alertname": "A"}), "ns/good")
	if rules := index.Rules(bad); rules != nil {
		t.Errorf("got rules %s of what does not compile", rules)
	}
}

func TestIndexLookups(t *testing.T) {
	one, two := reaction("a", "one", "A"), reaction("b", "two", "B")
	going := reaction("a", "going", "A")
	going.DeletionTimestamp = &metav1.Time{}
	index, _ := newIndex(t, one, two, going)

	for namespace, want := range map[string][]string{"": {"going", "one", "two"}, "a": {"going", "one"}, "b": {"two"}, "c": nil} {
		var got []string
		for _, reaction := range index.All(namespace) {
			got = append(got, reaction.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("all in namespace %q: got %q, want %q", namespace, got, want)
		}
	}

	if got := index.Reaction("a", "one"); got != one {
		t.Errorf("got %v, want a/one", got)
	}
	if got := index.Reaction("b", "one"); got != nil {
		t.Errorf("got %v, want nothing", got)
	}

	for name, tc := range map[string]struct {
		namespace, name string
		uid             types.UID
		want            bool
	}{
		"lives":            {"a", "one", one.UID, true},
		"is another one":   {"a", "one", "other", false},
		"is elsewhere":     {"b", "one", one.UID, false},
		"is being deleted": {"a", "going", going.UID, false},
		"is gone":          {"a", "gone", "uid", false},
	} {
		if got := index.Exists(tc.namespace, tc.name, tc.uid); got != tc.want {
			t.Errorf("%s: got %t, want %t", name, got, tc.want)
		}
	}
}

// Notifications are handled at once, and an edit may come between any two of them.
func TestIndexIsSafeForConcurrentUse(t *testing.T) {
	r := reaction("ns", "r", "A", equal("severity", "critical"))
	index, s := newIndex(t, r)
	alert := alertOf(map[string]string{"alertname": "A", "severity": "critical"})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if got, _ := index.Match("ns", alert); len(got) != 1 {
					t.Errorf("got %d reactions, want 1", len(got))
					return
				}
			}
		})
	}
	for generation := range int64(100) {
		edited := r.DeepCopy()
		edited.Generation = generation + 2
		s.put(t, edited)
	}
	group.Wait()
}

// The cost of an alert must not grow with the reactions that do not ask for its name.
func BenchmarkMatch(b *testing.B) {
	for _, others := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			index, s := newIndex(b, reaction("ns", "r", "A"))
			for i := range others {
				s.put(b, reaction("ns", fmt.Sprint("other-", i), fmt.Sprint("Other", i)))
			}
			alert := alertOf(map[string]string{"alertname": "A"})
			for b.Loop() {
				if matched, _ := index.Match("ns", alert); len(matched) != 1 {
					b.Fatal("the reaction does not match")
				}
			}
		})
	}
}
