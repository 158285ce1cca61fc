// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package notification_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/notification"
)

// complete is a notification with everything that Alertmanager sends, and more than Karo reads.
const complete = `{
  "version": "4",
  "groupKey": "{}/{severity=\"critical\"}:{alertname=\"KubePodCrashLooping\"}",
  "truncatedAlerts": 3,
  "status": "firing",
  "receiver": "team\\.a",
  "notification_reason": "new alerts added",
  "groupLabels": {"alertname": "KubePodCrashLooping"},
  "commonLabels": {"alertname": "KubePodCrashLooping", "nested": {"is": ["ignored", 1, true, null]}},
  "commonAnnotations": {},
  "routeLabels": {},
  "externalURL": "http://alertmanager:9093",
  "alerts": [
    {
      "status": "firing",
      "labels": {"alertname": "KubePodCrashLooping", "pod": "web-1"},
      "annotations": {"summary": "web-1 crashes"},
      "startsAt": "2026-03-01T12:00:00.123456789Z",
      "endsAt": "0001-01-01T00:00:00Z",
      "generatorURL": "http://prometheus/graph",
      "fingerprint": "0123456789abcdef"
    },
    {
      "status": "resolved",
      "labels": {"alertname": "KubePodCrashLooping", "pod": "web-2"},
      "annotations": {},
      "startsAt": "2026-03-01T14:00:00+02:00",
      "endsAt": "2026-03-01T12:30:00Z",
      "generatorURL": "",
      "fingerprint": "fedcba9876543210"
    }
  ]
}`

func decode(t *testing.T, body string) *notification.Notification {
	t.Helper()
	n, err := notification.Decode(strings.NewReader(body))
	if err != nil {
		t.Fatalf("decoding: %v", err)
	}
	return n
}

// good returns the alerts of a body, all of which must be good.
func good(t *testing.T, body string) []karo.AlertOccurrence {
	t.Helper()
	var occurrences []karo.AlertOccurrence
	for i, alert := range decode(t, body).Alerts {
		if alert.Err != nil {
			t.Errorf("alert %d: %v", i, alert.Err)
		}
		occurrences = append(occurrences, alert.AlertOccurrence)
	}
	return occurrences
}

func at(t *testing.T, text string) *nanotime.Time {
	t.Helper()
	parsed, err := nanotime.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func TestDecodeComplete(t *testing.T) {
	got := decode(t, complete)
	want := &notification.Notification{
		Receiver:        `team\.a`,
		TruncatedAlerts: 3,
		Alerts: []notification.Alert{
			{AlertOccurrence: karo.AlertOccurrence{
				Name:         "KubePodCrashLooping",
				Status:       karo.AlertFiring,
				Labels:       map[string]string{"alertname": "KubePodCrashLooping", "pod": "web-1"},
				Annotations:  map[string]string{"summary": "web-1 crashes"},
				StartsAt:     at(t, "2026-03-01T12:00:00.123456789Z"),
				GeneratorURL: "http://prometheus/graph",
				Fingerprint:  "0123456789abcdef",
			}},
			{AlertOccurrence: karo.AlertOccurrence{
				Name:        "KubePodCrashLooping",
				Status:      karo.AlertResolved,
				Labels:      map[string]string{"alertname": "KubePodCrashLooping", "pod": "web-2"},
				Annotations: map[string]string{},
				StartsAt:    at(t, "2026-03-01T12:00:00Z"),
				EndsAt:      at(t, "2026-03-01T12:30:00Z"),
				Fingerprint: "fedcba9876543210",
			}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// It must not count how the body arrives from the network.
func TestDecodeByteByByte(t *testing.T) {
	got, err := notification.Decode(iotest.OneByteReader(strings.NewReader(complete)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, complete), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeWhatIsNoNotification(t *testing.T) {
	deep := strings.Repeat("[", 20000)
	for name, tc := range map[string]struct {
		body   string
		offset int64
		reason string
	}{
		"empty":                     {"", 0, "the body is empty"},
		"blank":                     {" \n", 0, "the body is empty"},
		"array":                     {`[{"labels":{"a":"1"}}]`, 1, "must be a JSON object"},
		"string":                    {`"alerts"`, 8, "must be a JSON object"},
		"number":                    {`4`, 1, "must be a JSON object"},
		"a number of any size":      {`1e999`, 5, "must be a JSON object"},
		"null":                      {`null`, 4, "must be a JSON object"},
		"no JSON":                   {`alerts=1`, 0, "invalid character 'a' looking for beginning of value"},
		"gzip":                      {"\x1f\x8b\x08\x00", 0, `invalid character '\x1f' looking for beginning of value`},
		"byte order mark":           {"\ufeff" + `{"alerts":[]}`, 0, "invalid character 'ï' looking for beginning of value"},
		"half a literal":            {`nul`, 0, "the body ends in the middle of the notification"},
		"half a string":             {`"alerts`, 0, "the body ends in the middle of the notification"},
		"no colon":                  {`{"alerts" []}`, 10, "invalid character '[' after object key"},
		"no quotes":                 {`{alerts:[]}`, 1, "invalid character 'a'"},
		"no value":                  {`{"alerts":}`, 10, "invalid character '}' looking for beginning of value"},
		"single quotes":             {`{'alerts':[]}`, 1, `invalid character '\''`},
		"a comma too many":          {`{"alerts":[{},]}`, 14, "invalid character ']' looking for beginning of value"},
		"the wrong bracket":         {`{"alerts":[}`, 11, "invalid character '}' looking for beginning of value"},
		"a line end in a string":    {"{\"alerts\":[{\"status\":\"a\nb\"}]}", 11, `invalid character '\n' in string literal`},
		"NUL":                       {"{\"alerts\":[]\x00}", 12, `invalid character '\x00' after object key:value pair`},
		"too deep":                  {`{"alerts":[],"x":` + deep, 17 + int64(len(deep)), "the body ends in the middle of the notification"},
		"alerts too deep":           {`{"alerts":[` + deep, 11, "invalid character '[' exceeded max depth"},
		"text behind":               {`{"alerts":[]} x`, 14, "invalid character 'x' looking for beginning of value"},
		"NUL behind":                {`{"alerts":[]}` + "\x00", 13, `invalid character '\x00' looking for beginning of value`},
		"a bracket behind":          {`{"alerts":[]}}`, 13, "invalid character '}' looking for beginning of value"},
		"another one behind":        {`{"alerts":[]}{"alerts":[]}`, 14, "unexpected data after the notification"},
		"a number behind":           {`{"alerts":[]} 1`, 15, "unexpected data after the notification"},
		"half a string behind":      {`{"alerts":[]}"x`, 13, "the body ends in the middle of the notification"},
		"no alerts":                 {`{"version":"4","status":"firing"}`, 33, `the field "alerts" is missing`},
		"an alert alone":            {`{"labels":{"a":"1"},"status":"firing"}`, 38, `the field "alerts" is missing`},
		"case counts":               {`{"Alerts":[]}`, 13, `the field "alerts" is missing`},
		"alerts is an object":       {`{"alerts":{"a":1}}`, 11, "alerts: must be an array"},
		"alerts is a string":        {`{"alerts":"a"}`, 13, "alerts: must be an array"},
		"alerts is a number":        {`{"alerts":1}`, 11, "alerts: must be an array"},
		"alerts is a large number":  {`{"alerts":1e999}`, 15, "alerts: must be an array"},
		"a large number behind":     {`{"alerts":[]} 1e999`, 19, "unexpected data after the notification"},
		"alerts is true":            {`{"alerts":true}`, 14, "alerts: must be an array"},
		"status is a number":        {`{"status":1,"alerts":[]}`, 11, "status: unexpected number"},
		"receiver is an object":     {`{"receiver":{},"alerts":[]}`, 14, "receiver: unexpected object"},
		"receiver is an array":      {`{"receiver":["a"],"alerts":[]}`, 17, "receiver: unexpected array"},
		"truncatedAlerts is a text": {`{"truncatedAlerts":"3","alerts":[]}`, 22, "truncatedAlerts: unexpected string"},
		"truncatedAlerts is broken": {`{"truncatedAlerts":1.5,"alerts":[]}`, 22, "truncatedAlerts: unexpected number 1.5"},
		"what is ignored is broken": {`{"x":{"y":tru},"alerts":[]}`, 10, "invalid character '}' in literal true (expecting 'e')"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := notification.Decode(strings.NewReader(tc.body))
			var syntax *notification.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got error %v, want a SyntaxError", err)
			}
			if syntax.Offset != tc.offset || syntax.Reason != tc.reason {
				t.Errorf("got %q at byte %d, want %q at byte %d", syntax.Reason, syntax.Offset, tc.reason, tc.offset)
			}
			if want := fmt.Sprintf("not an Alertmanager notification: at byte %d: %s", tc.offset, tc.reason); err.Error() != want {
				t.Errorf("got %s, want %s", err, want)
			}
		})
	}
}

func TestDecodeTruncatedAnywhere(t *testing.T) {
	for length := range len(complete) {
		n, err := notification.Decode(strings.NewReader(complete[:length]))
		want := "the body ends in the middle of the notification"
		if length == 0 {
			want = "the body is empty"
		}
		var syntax *notification.SyntaxError
		switch {
		case !errors.As(err, &syntax):
			t.Errorf("the first %d bytes: got %v and error %v, want a SyntaxError", length, n, err)
		case syntax.Reason != want || syntax.Offset > int64(length):
			t.Errorf("the first %d bytes: got %v, want %s", length, syntax, want)
		}
	}
}

// A body that the network did not deliver is not malformed: the sender may try again.
func TestDecodePassesOnTheErrorsOfTheReader(t *testing.T) {
	broken := errors.New("connection reset")
	for length := range len(complete) {
		_, err := notification.Decode(io.MultiReader(strings.NewReader(complete[:length]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Fatalf("after %d bytes: got error %v, want %v", length, err, broken)
		}
	}
	_, err := notification.Decode(http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader(complete)), 100))
	var tooLarge *http.MaxBytesError
	if !errors.As(err, &tooLarge) || tooLarge.Limit != 100 {
		t.Errorf("got error %v, want that of a body above 100 bytes", err)
	}
}

func TestDecodeWithoutAlerts(t *testing.T) {
	for name, body := range map[string]string{
		"empty":             `{"alerts":[]}`,
		"null":              `{"alerts":null}`,
		"empty, with space": " {\n\"alerts\" : [ ] }\n\n",
		"the last is empty": `{"alerts":[{"labels":{"a":"1"}}],"alerts":[]}`,
		"the last is null":  `{"alerts":[{"labels":{"a":"1"}}],"alerts":null}`,
	} {
		if n := decode(t, body); len(n.Alerts) != 0 {
			t.Errorf("%s: got alerts %v", name, n.Alerts)
		}
	}
}

func TestDecodeStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want []karo.AlertStatus
	}{
		"its own":                  {`{"status":"resolved","alerts":[{"status":"firing","labels":{"a":"1"}}]}`, []karo.AlertStatus{"firing"}},
		"the group's":              {`{"status":"resolved","alerts":[{"labels":{"a":"1"}}]}`, []karo.AlertStatus{"resolved"}},
		"the group's, behind":      {`{"alerts":[{"labels":{"a":"1"}},{"status":"firing","labels":{"a":"2"}}],"status":"resolved"}`, []karo.AlertStatus{"resolved", "firing"}},
		"the group's, firing":      {`{"status":"firing","alerts":[{"labels":{"a":"1"}}]}`, []karo.AlertStatus{"firing"}},
		"the group's, last":        {`{"status":"firing","alerts":[{"labels":{"a":"1"}}],"status":"resolved"}`, []karo.AlertStatus{"resolved"}},
		"none":                     {`{"alerts":[{"labels":{"a":"1"}}]}`, []karo.AlertStatus{"firing"}},
		"null":                     {`{"status":null,"alerts":[{"status":null,"labels":{"a":"1"}}]}`, []karo.AlertStatus{"firing"}},
		"empty":                    {`{"status":"","alerts":[{"status":"","labels":{"a":"1"}}]}`, []karo.AlertStatus{"firing"}},
		"the group's is not known": {`{"status":"alerting","alerts":[{"labels":{"a":"1"}}]}`, []karo.AlertStatus{"firing"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []karo.AlertStatus
			for _, alert := range good(t, tc.body) {
				got = append(got, alert.Status)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDecodeOtherSenders(t *testing.T) {
	for name, body := range map[string]string{
		"version 3": `{"version":"3","groupKey":123,"status":"firing","receiver":"r","alerts":[
			{"labels":{"alertname":"A"},"annotations":{},"startsAt":"2026-03-01T12:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]}`,
		"version 4, of nothing but labels": `{"version":"4","alerts":[{"labels":{"alertname":"A"},"startsAt":"2026-03-01T12:00:00Z"}]}`,
		"Grafana": `{"receiver":"r","status":"firing","orgId":1,"version":"1","title":"[FIRING:1]","state":"alerting","message":"m",
			"groupKey":"{}:{}","truncatedAlerts":0,"appVersion":"12.0.0","alerts":[{"status":"firing","labels":{"alertname":"A"},
			"annotations":{},"startsAt":"2026-03-01T12:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://g","fingerprint":"",
			"silenceURL":"http://g/s","dashboardURL":"","panelURL":"","values":{"A":1.5,"B":null},"valueString":"[ var='A' ]","orgId":1}]}`,
		"no version":          `{"alerts":[{"labels":{"alertname":"A"},"startsAt":"2026-03-01T12:00:00Z"}]}`,
		"version is a number": `{"version":4,"alerts":[{"labels":{"alertname":"A"},"startsAt":"2026-03-01T12:00:00Z"}]}`,
		"unknown fields": `{"apiVersion":"karo.io/v1","kind":"AlertNotification","x":[{}],"alerts":[
			{"labels":{"alertname":"A"},"startsAt":"2026-03-01T12:00:00Z","x":{"labels":{"a":1}}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			alerts := good(t, body)
			if len(alerts) != 1 {
				t.Fatalf("got %d alerts, want 1", len(alerts))
			}
			alert := alerts[0]
			if alert.Name != "A" || alert.Status != karo.AlertFiring || *alert.StartsAt != *at(t, "2026-03-01T12:00:00Z") {
				t.Errorf("got %+v", alert)
			}
			if alert.EndsAt != nil {
				t.Errorf("an end that is not known is %s, want none", alert.EndsAt)
			}
			if alert.Fingerprint != fingerprint(map[string]string{"alertname": "A"}) {
				t.Errorf("got the fingerprint %q, want one that is computed", alert.Fingerprint)
			}
		})
	}
}

func TestDecodeInstants(t *testing.T) {
	for text, want := range map[string]string{
		`"2026-03-01T12:00:00.000000001Z"`: "2026-03-01T12:00:00.000000001Z",
		`"2026-03-01T14:00:00.5+02:00"`:    "2026-03-01T12:00:00.5Z",
		`"9999-12-31T23:59:59Z"`:           "9999-12-31T23:59:59Z",
		`"0001-01-01T00:00:00Z"`:           "",
		`""`:                               "",
		`null`:                             "",
	} {
		alert := good(t, `{"alerts":[{"labels":{"a":"1"},"startsAt":`+text+`,"endsAt":`+text+`}]}`)[0]
		for field, got := range map[string]*nanotime.Time{"startsAt": alert.StartsAt, "endsAt": alert.EndsAt} {
			switch {
			case want == "" && got != nil:
				t.Errorf("%s of %s: got %s, want none", field, text, got)
			case want != "" && (got == nil || *got != *at(t, want)):
				t.Errorf("%s of %s: got %s, want %s", field, text, got, want)
			}
		}
	}
}

func TestDecodeBadAlerts(t *testing.T) {
	const sibling = `{"labels":{"alertname":"Sibling"}}`
	for name, tc := range map[string]struct {
		alert, want string
		// identified is what the answer can still say of the alert.
		identified karo.AlertOccurrence
	}{
		"a number":              {alert: `5`, want: `alerts[1]: Invalid value: "number": must be an object`},
		"a string":              {alert: `"a"`, want: `alerts[1]: Invalid value: "string": must be an object`},
		"an array":              {alert: `[]`, want: `alerts[1]: Invalid value: "array": must be an object`},
		"null":                  {alert: `null`, want: `alerts[1].labels: Required value: an alert has at least one label`},
		"no labels":             {alert: `{"status":"firing"}`, want: `alerts[1].labels: Required value: an alert has at least one label`},
		"empty labels":          {alert: `{"labels":{}}`, want: `alerts[1].labels: Required value: an alert has at least one label`},
		"null labels":           {alert: `{"labels":null}`, want: `alerts[1].labels: Required value: an alert has at least one label`},
		"labels are a number":   {alert: `{"labels":5}`, want: `alerts[1].labels: Invalid value: "number": must be an object`},
		"labels are an array":   {alert: `{"labels":[]}`, want: `alerts[1].labels: Invalid value: "array": must be an object`},
		"a label is a number":   {alert: `{"labels":{"a":1}}`, want: `alerts[1].labels: Invalid value: "number": must be a string`},
		"a label is an object":  {alert: `{"labels":{"a":{}}}`, want: `alerts[1].labels: Invalid value: "object": must be a string`},
		"annotations":           {alert: `{"labels":{"alertname":"A"},"annotations":[]}`, want: `alerts[1].annotations: Invalid value: "array": must be an object`, identified: karo.AlertOccurrence{Name: "A"}},
		"an annotation is true": {alert: `{"labels":{"alertname":"A"},"annotations":{"a":true},"fingerprint":"f"}`, want: `alerts[1].annotations: Invalid value: "bool": must be a string`, identified: karo.AlertOccurrence{Name: "A", Fingerprint: "f"}},
		"status is a number":    {alert: `{"labels":{"alertname":"A"},"status":1}`, want: `alerts[1].status: Invalid value: "number": must be a string`, identified: karo.AlertOccurrence{Name: "A"}},
		"status is not known":   {alert: `{"labels":{"alertname":"A"},"status":"pending","fingerprint":"f"}`, want: `alerts[1].status: Unsupported value: "pending": supported values: "firing", "resolved"`, identified: karo.AlertOccurrence{Name: "A", Fingerprint: "f"}},
		"case counts in status": {alert: `{"labels":{"alertname":"A"},"status":"Firing","fingerprint":"f"}`, want: `alerts[1].status: Unsupported value: "Firing": supported values: "firing", "resolved"`, identified: karo.AlertOccurrence{Name: "A", Fingerprint: "f"}},
		"startsAt is a number":  {alert: `{"labels":{"alertname":"A"},"startsAt":1767225600}`, want: `alerts[1].startsAt: Invalid value: "number": must be a string`, identified: karo.AlertOccurrence{Name: "A"}},
		"startsAt is a word":    {alert: `{"labels":{"alertname":"A"},"startsAt":"now","fingerprint":"f"}`, want: `alerts[1].startsAt: Invalid value: "now" is not an RFC 3339 timestamp`, identified: karo.AlertOccurrence{Name: "A", Fingerprint: "f"}},
		"startsAt is a day":     {alert: `{"labels":{"alertname":"A"},"startsAt":"2026-02-30T12:00:00Z","fingerprint":"f"}`, want: `alerts[1].startsAt: Invalid value: "2026-02-30T12:00:00Z" is not an RFC 3339 timestamp`, identified: karo.AlertOccurrence{Name: "A", Fingerprint: "f"}},
		"endsAt is a word":      {alert: `{"labels":{"alertname":"A"},"endsAt":"later","fingerprint":"f"}`, want: `alerts[1].endsAt: Invalid value: "later" is not an RFC 3339 timestamp`, identified: karo.AlertOccurrence{Name: "A", Fingerprint: "f"}},
		"fingerprint":           {alert: `{"labels":{"alertname":"A"},"fingerprint":1}`, want: `alerts[1].fingerprint: Invalid value: "number": must be a string`},
		"generatorURL":          {alert: `{"labels":{"alertname":"A"},"generatorURL":{}}`, want: `alerts[1].generatorURL: Invalid value: "object": must be a string`, identified: karo.AlertOccurrence{Name: "A"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := decode(t, `{"alerts":[`+sibling+`,`+tc.alert+`,`+sibling+`]}`)
			if len(n.Alerts) != 3 {
				t.Fatalf("got %d alerts, want 3", len(n.Alerts))
			}
			bad := n.Alerts[1]
			if bad.Err == nil || bad.Err.Error() != tc.want {
				t.Errorf("got error %v, want %s", bad.Err, tc.want)
			}
			if bad.Name != tc.identified.Name || tc.identified.Fingerprint != "" && bad.Fingerprint != tc.identified.Fingerprint {
				t.Errorf("got name %q and fingerprint %q, want %q and %q", bad.Name, bad.Fingerprint, tc.identified.Name, tc.identified.Fingerprint)
			}
			for _, i := range []int{0, 2} {
				if n.Alerts[i].Err != nil || n.Alerts[i].Name != "Sibling" {
					t.Errorf("alert %d beside it: got %+v", i, n.Alerts[i])
				}
			}
		})
	}
}

func TestDecodeAlertsOfAnySize(t *testing.T) {
	// padded returns an alert of so many bytes.
	padded := func(size int) string {
		const head, tail = `{"labels":{"alertname":"Big"},"fingerprint":"f","annotations":{"a":"`, `"}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	const limit = 512 << 10
	// As JSON that is stored, each of these characters has six bytes.
	escaped := strings.ReplaceAll(padded(limit/5), "x", "<")
	n := decode(t, `{"alerts":[`+padded(100)+`,`+padded(limit)+`,`+padded(limit+1)+`,`+padded(3*limit)+`,`+padded(101)+`,`+escaped+`]}`)
	if len(n.Alerts) != 6 {
		t.Fatalf("got %d alerts, want 6", len(n.Alerts))
	}
	for i, want := range []string{
		"", "",
		"alerts[2]: Too long: may not be more than 524288 bytes",
		"alerts[3]: Too long: may not be more than 524288 bytes",
		"",
		"alerts[5]: Too long: may not be more than 524288 bytes",
	} {
		alert := n.Alerts[i]
		if got := fmt.Sprint(alert.Err); got != want && (want != "" || alert.Err != nil) {
			t.Errorf("alert %d: got error %v, want %q", i, alert.Err, want)
		}
		if alert.Name != "Big" || alert.Fingerprint != "f" {
			t.Errorf("alert %d: got name %q and fingerprint %q", i, alert.Name, alert.Fingerprint)
		}
		if alert.Err != nil && len(alert.Annotations)+len(alert.Labels) > 0 {
			t.Errorf("alert %d: what cannot be stored is held", i)
		}
	}
}

// Alert text is data, and any text is one.
func TestDecodeKeepsTextsAsTheyAre(t *testing.T) {
	texts := map[string]string{
		"alertname":        "A",
		"quotes":           `" ' \" ` + "`",
		"lines":            "one\r\ntwo\n\tthree",
		"nul":              "a\x00b",
		"emoji":            "🔥 Größe 日本語 \u202eright to left",
		"shell":            "$(S) $$(S) ${S} `id`; rm -rf / | <>&",
		"html":             "<script>alert(1)</script>",
		"long":             strings.Repeat("ü", 5<<10),
		"empty":            "",
		"http.status":      "500",
		"k8s.pod/name":     "web-1",
		"größe":            "groß",
		"with space":       "x",
		"a\"b\nc":          "x",
		"../../etc":        "x",
		"\x00":             "x",
		"__proto__":        "x",
		"separator \u2028": "\u2028",
	}
	body, err := json.Marshal(map[string]any{"receiver": texts["emoji"], "alerts": []any{map[string]any{
		"labels": texts, "annotations": texts, "generatorURL": texts["shell"],
	}}})
	if err != nil {
		t.Fatal(err)
	}
	n := decode(t, string(body))
	if n.Receiver != texts["emoji"] {
		t.Errorf("got receiver %q, want %q", n.Receiver, texts["emoji"])
	}
	alert := good(t, string(body))[0]
	if diff := cmp.Diff(texts, alert.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(texts, alert.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if alert.GeneratorURL != texts["shell"] {
		t.Errorf("got generatorURL %q, want %q", alert.GeneratorURL, texts["shell"])
	}
}

// What is no text at all becomes one, since nothing else could be stored.
func TestDecodeMakesTextsValid(t *testing.T) {
	for raw, want := range map[string]string{
		"\xff":         "\ufffd",
		"a\xc3":        "a\ufffd",
		`\ud800`:       "\ufffd",
		`\ud83d\ude00`: "😀",
		`\u0000`:       "\x00",
	} {
		alert := good(t, `{"alerts":[{"labels":{"a":"`+raw+`"}}]}`)[0]
		if alert.Labels["a"] != want {
			t.Errorf("%q: got %q, want %q", raw, alert.Labels["a"], want)
		}
	}
}

func TestDecodeFieldsGivenTwice(t *testing.T) {
	n := decode(t, `{"receiver":"one","receiver":"two","truncatedAlerts":1,"truncatedAlerts":2,
		"alerts":[{"labels":{"a":"first"}},{"labels":{"a":"second"}}],
		"alerts":[{"status":"resolved","status":"firing","labels":{"a":"1","a":"2"},"fingerprint":"f","fingerprint":"g"}]}`)
	want := &notification.Notification{
		Receiver:        "two",
		TruncatedAlerts: 2,
		Alerts: []notification.Alert{{AlertOccurrence: karo.AlertOccurrence{
			Status: karo.AlertFiring, Labels: map[string]string{"a": "2"}, Fingerprint: "g",
		}}},
	}
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The path of a bad alert counts from the array that counts.
func TestDecodePathsOfAlertsGivenTwice(t *testing.T) {
	n := decode(t, `{"alerts":[{"labels":{"a":"1"}},{"labels":{"a":"2"}}],"alerts":[{}]}`)
	const want = "alerts[0].labels: Required value: an alert has at least one label"
	if len(n.Alerts) != 1 || n.Alerts[0].Err == nil || n.Alerts[0].Err.Error() != want {
		t.Errorf("got %+v, want %s", n.Alerts, want)
	}
}

// fingerprint is the hash that Alertmanager's documentation gives to a label set: FNV-1a over the sorted names and
// values, with a byte that no UTF-8 text has behind each.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		_, _ = h.Write([]byte(name + "\xff" + labels[name] + "\xff"))
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

func TestFingerprint(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"one label": {"alertname": "A"},
		"order":     {"z": "1", "a": "2", "m": "3"},
		"no name":   {"severity": "critical"},
		"UTF-8":     {"größe": "🔥"},
		"empty":     {"a": ""},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{"alerts": []any{map[string]any{"labels": labels}}})
			if err != nil {
				t.Fatal(err)
			}
			set := model.LabelSet{}
			for name, value := range labels {
				set[model.LabelName(name)] = model.LabelValue(value)
			}
			got := good(t, string(body))[0].Fingerprint
			if want := set.Fingerprint().String(); got != want {
				t.Errorf("got %s, want Alertmanager's %s", got, want)
			}
			if want := fingerprint(labels); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	const known = "003b0a0f7d3fa569" // Of {alertname="Watchdog"}; it always has 16 digits.
	if got := good(t, `{"alerts":[{"labels":{"alertname":"Watchdog"}}]}`)[0].Fingerprint; got != known {
		t.Errorf("got %s, want %s", got, known)
	}
	if got := good(t, `{"alerts":[{"labels":{"alertname":"Watchdog"},"fingerprint":"given"}]}`)[0].Fingerprint; got != "given" {
		t.Errorf("got %s, want the one that was given", got)
	}
}

// A storm arrives as one body.
func TestDecodeManyAlerts(t *testing.T) {
	const count = 20000
	var body strings.Builder
	body.WriteString(`{"alerts":[`)
	for i := range count {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"labels":{"alertname":"A","i":"%d"}}`, i)
	}
	body.WriteString(`]}`)
	alerts := good(t, body.String())
	if len(alerts) != count || alerts[count-1].Labels["i"] != fmt.Sprint(count-1) {
		t.Errorf("got %d alerts, want %d in order", len(alerts), count)
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		complete, "", "{}", "[]", "null", `{"alerts":[]}`, `{"alerts":null}`, `{"alerts":[null]}`, `{"alerts":[5]}`,
		`{"alerts":[{"labels":{"alertname":"A"}}],"status":"resolved"}`,
		`{"alerts":[{"labels":{"a":1}}]}`, `{"alerts":[{"labels":{"a":"1"},"startsAt":"now"}]}`,
		`{"alerts":[{"labels":{"a":"\u0000\ud800"},"startsAt":"9999-12-31T23:59:59.999999999+23:59"}]}`,
		`{"alerts":[{"labels":{"":""},"endsAt":"0001-01-01T00:00:00Z"}]} {`,
		"1e999", `{"alerts":1e999}`, `{"alerts":[]}1e999`, `{"truncatedAlerts":1e999,"alerts":[]}`,
		"\ufeff{}", "{\"alerts\":[{\"labels\":{\"a\":\"\xff\"}}]}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := notification.Decode(strings.NewReader(string(body)))
		if err != nil {
			var syntax *notification.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("nothing but the body can be at fault, but the error is %v", err)
			}
			if syntax.Reason == "" || syntax.Offset < 0 || syntax.Offset > int64(len(body)) {
				t.Fatalf("%v does not say what is wrong and where in %d bytes", syntax, len(body))
			}
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q is no JSON", body)
		}
		for i := range n.Alerts {
			alert := &n.Alerts[i]
			if alert.Err != nil {
				if want := fmt.Sprintf("alerts[%d]", i); !strings.HasPrefix(alert.Err.Error(), want) {
					t.Errorf("%v does not begin with %s", alert.Err, want)
				}
				continue
			}
			if len(alert.Labels) == 0 {
				t.Errorf("alert %d has no labels", i)
			}
			if alert.Status != karo.AlertFiring && alert.Status != karo.AlertResolved {
				t.Errorf("alert %d has the status %q", i, alert.Status)
			}
			if alert.Name != alert.Labels["alertname"] {
				t.Errorf("alert %d is named %q, and its label says %q", i, alert.Name, alert.Labels["alertname"])
			}
			if alert.Fingerprint == "" {
				t.Errorf("alert %d has no fingerprint", i)
			}
			for name, value := range alert.Labels {
				if !utf8.ValidString(name) || !utf8.ValidString(value) {
					t.Errorf("alert %d has the label %q=%q, which is no text", i, name, value)
				}
			}
			for _, at := range []*nanotime.Time{alert.StartsAt, alert.EndsAt} {
				if at != nil && (at.IsZero() || at.Location() != time.UTC) {
					t.Errorf("alert %d has the time %#v", i, at)
				}
			}
			// What was read can be stored.
			if _, err := json.Marshal(alert.AlertOccurrence); err != nil {
				t.Errorf("alert %d: %v", i, err)
			}
		}
	})
}
