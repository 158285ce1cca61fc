// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// What cannot be read of a patch is named; whatever else it holds reaches the server as it was sent.
func TestPatchesAreExplained(t *testing.T) {
	const (
		apply, merge, strategic = "application/apply-patch+yaml", "application/merge-patch+json", "application/strategic-merge-patch+json"
		bad                     = `{"spec":{"actions":[{"name":"a","resources":{"limits":{"cpu":"lots"}}}]}}`
		says                    = `spec.actions[0].resources.limits[cpu]: Invalid value: "lots": ` + notAQuantity
	)
	for name, tc := range map[string]struct {
		mediaType string
		body      string
		want      string // What it says; "": the server gets it.
		change    func(*genericapirequest.RequestInfo)
	}{
		"applied":                 {mediaType: apply, body: bad, want: says},
		"applied as YAML":         {mediaType: apply, body: "spec:\n  volumes:\n  - emptyDir: {sizeLimit: 1Q}\n", want: `spec.volumes[0].emptyDir.sizeLimit: Invalid value: "1Q": ` + notAQuantity},
		"merged":                  {mediaType: merge, body: bad, want: says},
		"merged, with a charset":  {mediaType: merge + "; charset=utf-8", body: bad, want: says},
		"strategic":               {mediaType: strategic, body: bad, want: says},
		"good":                    {mediaType: apply, body: strings.Replace(bad, "lots", "1", 1)},
		"what it removes":         {mediaType: merge, body: `{"spec":{"actions":null,"volumes":[null]},"status":null}`},
		"what it says of a map":   {mediaType: strategic, body: `{"spec":{"actions":[{"name":"a","$patch":"delete","resources":{"limits":{"$patch":"replace","cpu":"1"}}}]}}`},
		"operations":              {mediaType: "application/json-patch+json", body: `[{"op":"add","path":"/spec","value":` + bad + `}]`},
		"no YAML":                 {mediaType: apply, body: "{"},
		"no object":               {mediaType: merge, body: "7"},
		"too large to look at":    {mediaType: merge, body: bad + strings.Repeat(" ", maxPatchBytes)},
		"no media type":           {mediaType: "", body: bad},
		"v1alpha1":                {mediaType: merge, body: bad, want: says, change: func(i *genericapirequest.RequestInfo) { i.APIVersion = "v1alpha1" }},
		"a version there is not":  {mediaType: merge, body: bad, change: func(i *genericapirequest.RequestInfo) { i.APIVersion = "v9" }},
		"a resource there is not": {mediaType: merge, body: bad, change: func(i *genericapirequest.RequestInfo) { i.Resource = "alerts" }},
		"another group":           {mediaType: merge, body: bad, change: func(i *genericapirequest.RequestInfo) { i.APIGroup = "apps" }},
	} {
		t.Run(name, func(t *testing.T) {
			info := &genericapirequest.RequestInfo{APIGroup: "karo.io", APIVersion: "v1", Resource: "alertreactions", Verb: "patch"}
			if tc.change != nil {
				tc.change(info)
			}
			req := httptest.NewRequest(http.MethodPatch, "/", strings.NewReader(tc.body))
			req.Header.Set("Content-Type", tc.mediaType)
			req = req.WithContext(genericapirequest.WithRequestInfo(t.Context(), info))
			var got *string
			w := httptest.NewRecorder()
			explainPatches(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				body, err := io.ReadAll(req.Body)
				if err != nil {
					t.Error(err)
				}
				got = new(string(body))
			})).ServeHTTP(w, req)
			if tc.want == "" {
				if got == nil || *got != tc.body {
					t.Errorf("the server got %v, and the answer was %d %s", got, w.Code, w.Body)
				}
				return
			}
			var status metav1.Status
			if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil {
				t.Fatal(err)
			}
			if got != nil || status.Code != http.StatusBadRequest || status.Message != tc.want {
				t.Errorf("got %d %s, want 400 %s", status.Code, status.Message, tc.want)
			}
		})
	}
}

// A body that breaks off does so for the server too.
func TestPatchThatBreaksOff(t *testing.T) {
	broken := errors.New("broken")
	req := httptest.NewRequest(http.MethodPatch, "/", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(broken)))
	req.Header.Set("Content-Type", "application/merge-patch+json")
	req = req.WithContext(genericapirequest.WithRequestInfo(t.Context(), &genericapirequest.RequestInfo{APIGroup: "karo.io", APIVersion: "v1", Resource: "executions"}))
	explainPatches(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if body, err := io.ReadAll(req.Body); string(body) != "{" || !errors.Is(err, broken) {
			t.Errorf("the server got %q and error %v", body, err)
		}
	})).ServeHTTP(httptest.NewRecorder(), req)
}
