// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package events

import (
	"strconv"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"karo.io/karo/pkg/apis/karo"
)

// patience bounds the wait for an Event, which is written behind the back of who records it.
const patience = 30 * time.Second

// event is what a user is shown of an Event.
type event struct {
	Namespace, Type, Reason, Message, Source string
	About                                    corev1.ObjectReference
}

// newRecorder returns a Recorder, and the Events that it writes to a cluster.
func newRecorder(t *testing.T) (*Recorder, <-chan event) {
	t.Helper()
	client := fake.NewClientset()
	written := make(chan event, 100)
	client.PrependReactor("create", "events", func(action clienttesting.Action) (bool, runtime.Object, error) {
		e := action.(clienttesting.CreateAction).GetObject().(*corev1.Event)
		written <- event{action.GetNamespace(), e.Type, e.Reason, e.Message, e.Source.Component, e.InvolvedObject}
		return false, nil, nil
	})
	recorder := NewRecorder(client)
	t.Cleanup(recorder.Shutdown)
	return recorder, written
}

// next returns the Event that is written next.
func next(t *testing.T, written <-chan event) event {
	t.Helper()
	select {
	case e := <-written:
		return e
	case <-time.After(patience):
		t.Fatal("no Event was written")
		return event{}
	}
}

// Who looks at a reaction learns what became of it, without knowing the names of its Executions.
func TestAnEventOfAnExecutionIsOneOfItsReaction(t *testing.T) {
	recorder, written := newRecorder(t)
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "restart-abc", UID: "execution-uid"},
		Spec:       karo.ExecutionSpec{Reaction: karo.ReactionReference{Name: "restart", UID: "reaction-uid"}},
	}
	ofExecution := corev1.ObjectReference{APIVersion: "karo.io/v1", Kind: "Execution", Namespace: "shop", Name: "restart-abc", UID: "execution-uid"}
	ofReaction := corev1.ObjectReference{APIVersion: "karo.io/v1", Kind: "AlertReaction", Namespace: "shop", Name: "restart", UID: "reaction-uid"}
	for _, tc := range []struct {
		eventType, reason, format string
		args                      []any
		message                   string
	}{
		{corev1.EventTypeNormal, "Started", "Started for alert %s", []any{Quote("\x1b[31m%s")}, `Started for alert "\x1b[31m%s"`},
		{corev1.EventTypeWarning, "ActionFailed", "Action %s failed with exit code %d", []any{"a", 3}, "Action a failed with exit code 3"},
		{corev1.EventTypeNormal, "Completed", "100%% done", nil, "100% done"},
	} {
		recorder.Execution(e, tc.eventType, tc.reason, tc.format, tc.args...)
		for _, want := range []event{
			{"shop", tc.eventType, tc.reason, tc.message, "karo", ofExecution},
			{"shop", tc.eventType, tc.reason, "Execution restart-abc: " + tc.message, "karo", ofReaction},
		} {
			if diff := cmp.Diff(want, next(t, written)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		}
	}
}

// What is said of a reaction is said once: what is written next is of the next one.
func TestAnEventOfAReaction(t *testing.T) {
	recorder, written := newRecorder(t)
	for _, name := range []string{"a", "b"} {
		recorder.Reaction(&karo.AlertReaction{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "uid"}},
			corev1.EventTypeWarning, "Suspended", "Did not run for alert %s", Quote("A"))
		want := event{
			"shop", corev1.EventTypeWarning, "Suspended", `Did not run for alert "A"`, "karo",
			corev1.ObjectReference{APIVersion: "karo.io/v1", Kind: "AlertReaction", Namespace: "shop", Name: name, UID: "uid"},
		}
		if diff := cmp.Diff(want, next(t, written)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `""`,
		"KubePodCrashLooping":          `"KubePodCrashLooping"`,
		"größe 🔥":                      `"größe 🔥"`,
		`a "quote"`:                    `"a \"quote\""`,
		"two\nlines\r":                 `"two\nlines\r"`,
		"\x1b[31mred\x1b[0m":           `"\x1b[31mred\x1b[0m"`,
		"\x1b]0;title\a":               `"\x1b]0;title\a"`,
		"\x00\x7f\u0085\u009b31m":      `"\x00\x7f\u0085\u009b31m"`,
		"\u202egnp.exe":                `"\u202egnp.exe"`, // Letters that would be shown from right to left.
		"\u200b\u2028":                 `"\u200b\u2028"`,
		"\xff":                         `"\xff"`,
		"%s %d":                        `"%s %d"`,
		strings.Repeat("a", 240):       strconv.Quote(strings.Repeat("a", 240)),
		strings.Repeat("a", 241):       `"` + strings.Repeat("a", 240) + `…"`,
		strings.Repeat("ü", 121):       `"` + strings.Repeat("ü", 120) + `…"`,
		"a" + strings.Repeat("ü", 120): `"a` + strings.Repeat("ü", 119) + `…"`, // No character is cut in two.
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// Whatever an alert says, it is one line that moves no cursor and changes no colour, and it cannot end the quotes.
func TestQuoteOfAnything(t *testing.T) {
	harmless := func(text string) bool {
		got := Quote(text)
		_, err := strconv.Unquote(got)
		return err == nil && utf8.ValidString(got) && len(got) <= 4*(maxQuoted+len("…"))+2 &&
			strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	}
	if err := quick.Check(harmless, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	bytes := func(text []byte) bool { return harmless(string(text)) }
	if err := quick.Check(bytes, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}
