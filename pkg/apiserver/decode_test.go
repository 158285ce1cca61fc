// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// decodersOf returns what decodes the body of a request, as the server negotiates it.
func decodersOf(t *testing.T, mediaType string) runtime.Decoder {
	t.Helper()
	serializer := negotiated{Codecs}
	info, ok := runtime.SerializerInfoForMediaType(serializer.SupportedMediaTypes(), mediaType)
	if !ok {
		t.Fatalf("%s is not spoken", mediaType)
	}
	return serializer.DecoderToVersion(info.StrictSerializer, karo.SchemeGroupVersion)
}

const notAQuantity = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

// A quantity says what is wrong with it and not where; the user is told both.
func TestWhatCannotBeReadIsNamed(t *testing.T) {
	const action = `{"name":"a","image":"i","resources":{"limits":{"cpu":%s,"memory":"64Mi"}}}`
	inActions := func(cpu string) string {
		return `{"actions":[{"name":"z","image":"i"},` + strings.ReplaceAll(action, "%s", cpu) + `]}`
	}
	pod := func(spec string) string {
		return `{"spec":{"template":{"spec":` + spec + `}}}`
	}
	for name, tc := range map[string]struct {
		spec string
		want string // The path and what is wrong; "": it can be read.
	}{
		"a good quantity": {spec: inActions(`"100m"`)},
		"a number":        {spec: inActions(`1`)},
		"limits":          {spec: inActions(`"lots"`), want: `spec.actions[1].resources.limits[cpu]: Invalid value: "lots": ` + notAQuantity},
		"a unit":          {spec: inActions(`"1Gb"`), want: `spec.actions[1].resources.limits[cpu]: Invalid value: "1Gb": ` + notAQuantity},
		"requests": {
			spec: `{"actions":[{"name":"a","resources":{"requests":{"memory":"1 GiB"}}}]}`,
			want: `spec.actions[0].resources.requests[memory]: Invalid value: "1 GiB": ` + notAQuantity,
		},
		"every one of them": {
			spec: `{"actions":[{"name":"a","resources":{"requests":{"memory":"x","cpu":"y"}}}]}`,
			want: `[spec.actions[0].resources.requests[cpu]: Invalid value: "y": ` + notAQuantity +
				`, spec.actions[0].resources.requests[memory]: Invalid value: "x": ` + notAQuantity + `]`,
		},
		"sizeLimit of a volume": {
			spec: `{"volumes":[{"name":"a"},{"name":"b","emptyDir":{"sizeLimit":"1GB"}}]}`,
			want: `spec.volumes[1].emptyDir.sizeLimit: Invalid value: "1GB": ` + notAQuantity,
		},
		"jobTemplate": {
			spec: `{"jobTemplate":` + pod(`{"containers":[{"name":"c","resources":{"limits":{"cpu":"x"}}}]}`) + `}`,
			want: `spec.jobTemplate.spec.template.spec.containers[0].resources.limits[cpu]: Invalid value: "x": ` + notAQuantity,
		},
		"jobTemplate of an action": {
			spec: `{"actions":[{"name":"a","jobTemplate":` + pod(`{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"x"}}]}`) + `}]}`,
			want: `spec.actions[0].jobTemplate.spec.template.spec.volumes[0].emptyDir.sizeLimit: Invalid value: "x": ` + notAQuantity,
		},
		"divisor of a variable": {
			spec: `{"actions":[{"name":"a","env":[{"name":"V","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"x"}}}]}]}`,
			want: `spec.actions[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "x": ` + notAQuantity,
		},
	} {
		for _, version := range []string{"v1", "v1alpha1"} {
			for _, mediaType := range []string{runtime.ContentTypeJSON, runtime.ContentTypeYAML} {
				t.Run(name+"/"+version+"/"+mediaType, func(t *testing.T) {
					// JSON is YAML.
					body := `{"apiVersion":"karo.io/` + version + `","kind":"AlertReaction","metadata":{"name":"r"},"spec":` + tc.spec + `}`
					gvk := schema.GroupVersionKind{Group: karo.GroupName, Version: version, Kind: "AlertReaction"}
					_, _, err := decodersOf(t, mediaType).Decode([]byte(body), &gvk, nil)
					if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
						t.Errorf("got  %v\nwant %s", err, tc.want)
					}
				})
			}
		}
	}
}

func TestATimeThatCannotBeReadIsNamed(t *testing.T) {
	const body = `{"apiVersion":"karo.io/v1","kind":"Execution","metadata":{"name":"e"},"spec":{"alert":{"startsAt":"yesterday"}}}`
	const want = `spec.alert.startsAt: Invalid value: "yesterday": "yesterday" is not an RFC 3339 timestamp`
	if _, _, err := decodersOf(t, runtime.ContentTypeJSON).Decode([]byte(body), nil, nil); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Every other error is that of the decoder, and what can be read is left as it is.
func TestOtherErrorsStay(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"no JSON":          {`{"apiVersion":"karo.io/v1","kind":`, "unexpected end of JSON input"},
		"no kind":          {`{}`, "Object 'Kind' is missing in '{}'"},
		"another kind":     {`{"apiVersion":"karo.io/v1","kind":"Other"}`, `no kind "Other" is registered for version "karo.io/v1"`},
		"an unknown field": {`{"apiVersion":"karo.io/v1","kind":"AlertReaction","spec":{"alertname":"A"}}`, `strict decoding error: unknown field "spec.alertname"`},
		"another type":     {`{"apiVersion":"karo.io/v1","kind":"AlertReaction","spec":{"suspend":"yes"}}`, "json: cannot unmarshal string into Go struct field AlertReactionSpec.spec.suspend of type bool"},
	} {
		_, _, err := decodersOf(t, runtime.ContentTypeJSON).Decode([]byte(tc.body), nil, nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got error %v, want %s", name, err, tc.want)
		}
	}
	const good = `{"apiVersion":"karo.io/v1","kind":"AlertReaction","metadata":{"name":"r"},"spec":{"alertName":"A"}}`
	obj, gvk, err := decodersOf(t, runtime.ContentTypeJSON).Decode([]byte(good), nil, nil)
	if err != nil || *gvk != v1.SchemeGroupVersion.WithKind("AlertReaction") || obj.(*karo.AlertReaction).Spec.AlertName != "A" {
		t.Errorf("got %v of %v and error %v", obj, gvk, err)
	}
}
