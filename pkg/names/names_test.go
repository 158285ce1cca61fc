// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package names_test

import (
	"fmt"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/names"
)

// maxLength is that of a label value: the name of an Execution and of a Job each become one.
const maxLength = 63

func at(seconds, nanoseconds int64) *nanotime.Time {
	t := nanotime.New(time.Unix(seconds, nanoseconds))
	return &t
}

func expectValid(t *testing.T, name string) {
	t.Helper()
	if len(name) > maxLength {
		t.Errorf("%q has %d characters, of %d that it may have", name, len(name), maxLength)
	}
	for _, problem := range apivalidation.NameIsDNSSubdomain(name, false) {
		t.Errorf("%q: %s", name, problem)
	}
}

// nastyReactions are valid names of reactions that a careless cut would make invalid ones of.
func nastyReactions() []string {
	reactions := []string{
		"a", "0", "a.b", "a-b", "a--b", strings.Repeat("a", 36), strings.Repeat("a", 37), strings.Repeat("a", 253),
		strings.Repeat("a.", 126) + "a",
	}
	// Wherever a cut falls, one of these has a dot, and one a dash, in front of it.
	for position := 1; position < 40; position++ {
		reactions = append(reactions,
			strings.Repeat("a", position)+"."+strings.Repeat("b", 40),
			strings.Repeat("a", position)+"-"+strings.Repeat("b", 40),
			strings.Repeat("a", position)+"---"+strings.Repeat("b", 40),
		)
	}
	return reactions
}

func TestNamesOfNastyReactions(t *testing.T) {
	for _, reaction := range nastyReactions() {
		if problems := apivalidation.NameIsDNSSubdomain(reaction, false); len(problems) > 0 {
			t.Fatalf("%q is no name of a reaction: %v", reaction, problems)
		}
		expectValid(t, names.Execution(reaction, names.Occurrence{}))
		expectValid(t, names.Revision(reaction, "uid", 1))
		for length := 1; length <= maxLength; length++ {
			e := &karo.Execution{ObjectMeta: metav1.ObjectMeta{UID: "uid"}}
			e.Spec.Reaction.Name = reaction
			expectValid(t, names.Job(e, strings.Repeat("x", length)))
			if length > 2 {
				expectValid(t, names.Job(e, "x"+strings.Repeat("-", length-2)+"x"))
			}
		}
	}
}

func TestNamesOfNastyAlerts(t *testing.T) {
	for _, alert := range []string{
		"", " ", ".", "-", "...", "---", ".-.", "-.-", "KubePodCrashLooping", "a.b", "a..b", "a.-b", "a-.b", "a-.-b",
		"a. b", "Größe der Platte", "日本語", "🔥", "a🔥b", "\x00", "a\nb", "\xff\xfe", "a\xffb", "../../etc", "$(S)",
		strings.Repeat("a", 300), strings.Repeat("a", 35) + ".b", strings.Repeat("a", 35) + "-b", strings.Repeat("ü", 100),
		strings.Repeat(".", 300), strings.Repeat("A-", 100), "İ", "K",
	} {
		expectValid(t, names.Alert(alert, map[string]string{"alertname": alert}))
	}
	valid := func(alert string) bool {
		name := names.Alert(alert, nil)
		return len(name) <= maxLength && len(apivalidation.NameIsDNSSubdomain(name, false)) == 0
	}
	if err := quick.Check(valid, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

func TestReadablePart(t *testing.T) {
	for name, tc := range map[string]struct{ got, want string }{
		"execution":      {names.Execution("restart-pods", names.Occurrence{}), "restart-pods-"},
		"execution, cut": {names.Execution(strings.Repeat("a", 40), names.Occurrence{}), strings.Repeat("a", 36) + "-"},
		"revision":       {names.Revision("restart-pods", "uid", 1), "restart-pods-"},
		"alert":          {names.Alert("KubePodCrashLooping", nil), "kubepodcrashlooping-"},
		"alert, nothing": {names.Alert("日本語", nil), "alert-"},
		"job":            {names.Job(executionOf("restart-pods", "uid"), "collect-logs"), "restart-pods-collect-logs-"},
		"job, long reaction": {
			names.Job(executionOf(strings.Repeat("a", 40), "uid"), "logs"), strings.Repeat("a", 31) + "-logs-",
		},
		"job, both long": {
			names.Job(executionOf(strings.Repeat("a", 40), "uid"), strings.Repeat("b", 40)),
			strings.Repeat("a", 18) + "-" + strings.Repeat("b", 17) + "-",
		},
	} {
		t.Run(name, func(t *testing.T) {
			const digest = 26
			if got := tc.got[:len(tc.got)-digest]; got != tc.want {
				t.Errorf("got %q before the hash, want %q", got, tc.want)
			}
		})
	}
}

func executionOf(reaction string, uid types.UID) *karo.Execution {
	return &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{UID: uid},
		Spec:       karo.ExecutionSpec{Reaction: karo.ReactionReference{Name: reaction}},
	}
}

// The names below are what clusters have stored. Another name for the same occurrence would run it again after an
// upgrade.
func TestNamesNeverChange(t *testing.T) {
	labels := map[string]string{"alertname": "A", "instance": "i"}
	occurrence := names.Occurrence{ReactionUID: "uid", Labels: labels, Status: karo.AlertFiring, StartsAt: at(1, 1)}
	for name, tc := range map[string]struct{ got, want string }{
		"execution": {names.Execution("r", occurrence), "r-xxatauwti3bovwqzjlsfwqbdyw"},
		"follows": {
			names.Execution("r", names.Occurrence{ReactionUID: "uid", Labels: labels, Status: karo.AlertFiring, Follows: at(1, 1)}),
			"r-iecaa7h6rpr6n6qiedmbpz5qtb",
		},
		"alert":    {names.Alert("A", labels), "a-3wnt6t2y2isl4wgicahjyhgzw6"},
		"revision": {names.Revision("r", "uid", 1), "r-vzxa4pphthpwdypoaf6zakf5qs"},
		"job":      {names.Job(executionOf("r", "uid"), "a"), "r-a-hvfaz6s2f4xwu2tjqaws2khdcf"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %s, want %s", name, tc.got, tc.want)
		}
	}
}

func TestEveryPartOfTheIdentityChangesTheName(t *testing.T) {
	base := func() names.Occurrence {
		return names.Occurrence{
			ReactionUID: "uid", Labels: map[string]string{"a": "1", "b": "2"}, Status: karo.AlertFiring, StartsAt: at(1, 1),
		}
	}
	changes := map[string]func(*names.Occurrence){
		"nothing":                       func(*names.Occurrence) {},
		"reaction UID":                  func(o *names.Occurrence) { o.ReactionUID = "other" },
		"status":                        func(o *names.Occurrence) { o.Status = karo.AlertResolved },
		"startsAt by a nanosecond":      func(o *names.Occurrence) { o.StartsAt = at(1, 2) },
		"startsAt missing":              func(o *names.Occurrence) { o.StartsAt = nil },
		"startsAt missing, follows":     func(o *names.Occurrence) { o.StartsAt, o.Follows = nil, at(1, 1) },
		"startsAt missing, follows two": func(o *names.Occurrence) { o.StartsAt, o.Follows = nil, at(1, 2) },
		"skip reason":                   func(o *names.Occurrence) { o.SkipReason = "Suspended" },
		"other skip reason":             func(o *names.Occurrence) { o.SkipReason = "Paused" },
		"label value":                   func(o *names.Occurrence) { o.Labels["a"] = "2" },
		"label name":                    func(o *names.Occurrence) { o.Labels = map[string]string{"A": "1", "b": "2"} },
		"label added":                   func(o *names.Occurrence) { o.Labels["c"] = "" },
		"label removed":                 func(o *names.Occurrence) { delete(o.Labels, "b") },
		"labels swapped":                func(o *names.Occurrence) { o.Labels = map[string]string{"a": "2", "b": "1"} },
		"no labels":                     func(o *names.Occurrence) { o.Labels = nil },
		// What is one text in one place must not be taken for two in another.
		"label with separators": func(o *names.Occurrence) { o.Labels = map[string]string{"a": "1b2"} },
		"label name and value":  func(o *names.Occurrence) { o.Labels = map[string]string{"a1": "", "b": "2"} },
	}
	seen := map[string]string{}
	for change, apply := range changes {
		occurrence := base()
		apply(&occurrence)
		name := names.Execution("reaction", occurrence)
		if other, ok := seen[name]; ok {
			t.Errorf("%q and %q give the same name %s", change, other, name)
		}
		seen[name] = change
	}
}

func TestFollowsCountsOnlyWithoutStartsAt(t *testing.T) {
	with := names.Execution("r", names.Occurrence{StartsAt: at(1, 0), Follows: at(2, 0)})
	without := names.Execution("r", names.Occurrence{StartsAt: at(1, 0)})
	if with != without {
		t.Errorf("%s and %s are one occurrence: it says itself when it began", with, without)
	}
}

func TestRevisionNames(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{
		names.Revision("r", "uid", 1), names.Revision("r", "uid", 2), names.Revision("r", "other", 1), names.Revision("s", "uid", 1),
	} {
		if seen[name] {
			t.Errorf("%s stands for two revisions", name)
		}
		seen[name] = true
	}
}

func TestJobNames(t *testing.T) {
	seen := map[string]bool{}
	long := strings.Repeat("x", 40)
	for _, name := range []string{
		names.Job(executionOf("r", "uid"), "a"), names.Job(executionOf("r", "uid"), "b"),
		// An Execution that is deleted and created again has another UID.
		names.Job(executionOf("r", "other"), "a"),
		// The readable parts are the same.
		names.Job(executionOf("r-a", "uid"), "b"), names.Job(executionOf("r", "uid"), "a-b"),
		names.Job(executionOf("r", "uid"), long+"1"), names.Job(executionOf("r", "uid"), long+"2"),
	} {
		if seen[name] {
			t.Errorf("%s stands for two Jobs", name)
		}
		seen[name] = true
	}
}

// labelSet is a random set of labels.
type labelSet map[string]string

func (labelSet) Generate(r *rand.Rand, size int) reflect.Value {
	set := labelSet{}
	for range r.Intn(size + 1) {
		set[fmt.Sprint(r.Intn(1000))] = fmt.Sprint(r.Intn(10))
	}
	return reflect.ValueOf(set)
}

// Go iterates over a map in another order each time, and two maps of the same labels were filled in different orders.
func TestTheOrderOfLabelsDoesNotCount(t *testing.T) {
	same := func(labels labelSet) bool {
		reversed := map[string]string{}
		keys := slices.Sorted(maps.Keys(labels))
		for _, key := range slices.Backward(keys) {
			reversed[key] = labels[key]
		}
		return names.Alert("a", labels) == names.Alert("a", reversed) &&
			names.Execution("r", names.Occurrence{Labels: labels}) == names.Execution("r", names.Occurrence{Labels: reversed})
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

// The name of an alert is one of its labels, so that labels alone make the identity.
func TestAlertNames(t *testing.T) {
	name := func(labels map[string]string) string { return names.Alert("a", labels) }
	base := name(map[string]string{"a": "1"})
	for what, other := range map[string]string{
		"value": name(map[string]string{"a": "2"}), "name": name(map[string]string{"b": "1"}),
		"one more": name(map[string]string{"a": "1", "b": ""}), "none": name(nil),
	} {
		if base == other {
			t.Errorf("another %s of a label gives the same name", what)
		}
	}
}

func TestOccurrenceOf(t *testing.T) {
	e := &karo.Execution{
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "r", UID: "uid", Generation: 3, Revision: "r-1"},
			Alert: karo.AlertOccurrence{
				Name: "A", Status: karo.AlertFiring, Labels: map[string]string{"a": "1"}, StartsAt: at(1, 1), Annotations: map[string]string{"x": "y"},
			},
			Follows: at(2, 2),
		},
	}
	want := names.Occurrence{
		ReactionUID: "uid", Labels: map[string]string{"a": "1"}, Status: karo.AlertFiring, StartsAt: at(1, 1), Follows: at(2, 2),
	}
	if got := names.OccurrenceOf(e); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, phase := range []karo.Phase{karo.PhasePending, karo.PhaseRunning, karo.PhaseSucceeded, karo.PhaseFailed} {
		e.Status = karo.ExecutionStatus{Phase: phase, Reason: "ActionFailed"}
		if got := names.OccurrenceOf(e); got.SkipReason != "" {
			t.Errorf("%s: the reason %q of a run is no part of its identity", phase, got.SkipReason)
		}
	}
	e.Status = karo.ExecutionStatus{Phase: karo.PhaseSkipped, Reason: "Suspended"}
	if got := names.OccurrenceOf(e); got.SkipReason != "Suspended" {
		t.Errorf("the identity of a skipped run has the reason %q, want Suspended", got.SkipReason)
	}
}

func TestLabelValue(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"KubePodCrashLooping":          "KubePodCrashLooping",
		"a_b.c-d":                      "a_b.c-d",
		"a b":                          "a-b",
		"a \n\t b":                     "a-b",
		"größe":                        "gr-e",
		"日本語":                          "",
		"🔥 on fire":                    "on-fire",
		"-a-":                          "a",
		"_.a._":                        "a",
		"...":                          "",
		"$(S)":                         "S",
		"\x00":                         "",
		strings.Repeat("a", 63):        strings.Repeat("a", 63),
		strings.Repeat("a", 64):        strings.Repeat("a", 63),
		strings.Repeat("a", 62) + ".b": strings.Repeat("a", 62),
		strings.Repeat("ü", 100):       "",
	} {
		if got := names.LabelValue(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	valid := func(text string) bool { return len(utilvalidation.IsValidLabelValue(names.LabelValue(text))) == 0 }
	if err := quick.Check(valid, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

// nearlyLabelValue is a text that is often a label value, and else nearly one.
type nearlyLabelValue string

func (nearlyLabelValue) Generate(r *rand.Rand, _ int) reflect.Value {
	const alphabet = "abzAZ09-_. ü"
	var text strings.Builder
	for range r.Intn(70) {
		text.WriteByte(alphabet[r.Intn(len(alphabet))])
	}
	return reflect.ValueOf(nearlyLabelValue(text.String()))
}

func TestLabelValueLeavesLabelValuesAlone(t *testing.T) {
	holds := func(text nearlyLabelValue) bool {
		value := names.LabelValue(string(text))
		if len(utilvalidation.IsValidLabelValue(value)) > 0 {
			return false
		}
		return names.LabelValue(value) == value &&
			(len(utilvalidation.IsValidLabelValue(string(text))) > 0 || value == string(text))
	}
	if err := quick.Check(holds, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

// Whatever Karo names a run must be a name that no client may take, and no other name may be refused.
func TestIsReserved(t *testing.T) {
	for _, reaction := range nastyReactions() {
		if name := names.Execution(reaction, names.Occurrence{}); !names.IsReserved(name) {
			t.Errorf("a client may take %s, the name of a run", name)
		}
		if name := names.GenerateName(reaction) + "abc27"; names.IsReserved(name) {
			t.Errorf("%s, of a run by hand, is refused", name)
		}
	}
	hash := strings.Repeat("a2", 13)
	for name, want := range map[string]bool{
		"r-" + hash:                            true,
		strings.Repeat("r", 36) + "-" + hash:   true,
		"a.b-c-" + hash:                        true,
		hash + "-" + hash:                      true,
		strings.Repeat("r", 37) + "-" + hash:   false,
		hash:                                   false,
		"-" + hash:                             false,
		"r-" + hash[1:]:                        false,
		"r-" + hash + "b":                      false,
		"r-" + hash[1:] + "1":                  false, // Base 32 has no 1.
		"r-" + hash[1:] + "8":                  false,
		"r-" + hash + "\n":                     false,
		"R-" + hash:                            false,
		"r-" + hash[:13] + "-" + hash[:12]:     false,
		"":                                     false,
		"restart-abcde":                        false,
		"restart.web-" + hash[:25] + "\u0131":  false,
		"restart-kubepodcrashlooping-by-night": false,
	} {
		if got := names.IsReserved(name); got != want {
			t.Errorf("%q: got %t, want %t", name, got, want)
		}
	}
}

func TestGenerateName(t *testing.T) {
	for reaction, want := range map[string]string{
		"restart": "restart-", strings.Repeat("a", 40): strings.Repeat("a", 36) + "-", strings.Repeat("a", 35) + ".b": strings.Repeat("a", 35) + "-",
	} {
		if got := names.GenerateName(reaction); got != want {
			t.Errorf("%s: got %s, want %s", reaction, got, want)
		}
	}
}

// An action that was written in v1alpha1 may have any name.
func TestJobNamesOfOddActions(t *testing.T) {
	seen := map[string]string{}
	for _, action := range []string{
		"", " ", "Collect Logs", "collect logs", "collect_logs", "collect.logs", "größe", "日本語", "🔥", "-", ".", "..", "a..b", "-a-", "a.-b", "\x00",
		"\xff", "A", "a", "$(S)", "../../etc", strings.Repeat("A ", 31), strings.Repeat("ü", 31), strings.Repeat(".", 63), strings.Repeat("a", 16) + "." + strings.Repeat("b", 40),
	} {
		for _, reaction := range []string{"r", strings.Repeat("r", 253), strings.Repeat("r", 18) + ".r"} {
			name := names.Job(executionOf(reaction, "uid"), action)
			expectValid(t, name)
			of := reaction[:1] + "/" + action
			if other, twice := seen[name]; twice && other != of {
				t.Errorf("%q and %q give the same name %s", of, other, name)
			}
			seen[name] = of
		}
	}
	valid := func(action string) bool {
		name := names.Job(executionOf("restart-pods", "uid"), action)
		return len(name) <= maxLength && len(apivalidation.NameIsDNSSubdomain(name, false)) == 0
	}
	if err := quick.Check(valid, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}
