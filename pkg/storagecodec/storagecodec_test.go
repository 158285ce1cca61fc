// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package storagecodec

import (
	"encoding/json"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"

	"karo.io/karo/pkg/apis/karo"
	karofuzzer "karo.io/karo/pkg/apis/karo/fuzzer"
	"karo.io/karo/pkg/apis/karo/install"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
)

// What is stored is read as it was, and is, as JSON, what a server that writes JSON stores; that is read as well.
func TestRoundTrip(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme)
	codec, text := New(scheme, v1.SchemeGroupVersion), codecs.LegacyCodec(v1.SchemeGroupVersion)
	fuzz := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, karofuzzer.Funcs), rand.NewSource(rand.Int63()), codecs)
	for _, kind := range []string{"AlertReaction", "Execution", "Alert", "ReactionRevision"} {
		for range 100 {
			obj, err := scheme.New(karo.SchemeGroupVersion.WithKind(kind))
			if err != nil {
				t.Fatal(err)
			}
			fuzz.Fill(obj)
			stored, asText := encode(t, codec, obj), encode(t, text, obj)
			var asCBOR any
			if err := direct.Unmarshal(stored, &asCBOR); err != nil {
				t.Fatal(err)
			}
			asJSON, err := json.Marshal(asCBOR)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, asText), parse(t, asJSON)); diff != "" {
				t.Fatalf("%s is stored as something else than JSON (-JSON +CBOR):\n%s", kind, diff)
			}
			want := decode(t, text, asText)
			for form, bytes := range map[string][]byte{"CBOR": stored, "JSON": asText} {
				if got := decode(t, codec, bytes); !apiequality.Semantic.DeepEqual(want, got) {
					t.Fatalf("%s from %s (-want +got):\n%s", kind, form, cmp.Diff(want, got))
				}
			}
		}
	}
}

func encode(t *testing.T, codec runtime.Codec, obj runtime.Object) []byte {
	t.Helper()
	stored, err := runtime.Encode(codec, obj)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func decode(t *testing.T, codec runtime.Codec, stored []byte) runtime.Object {
	t.Helper()
	obj, err := runtime.Decode(codec, stored)
	if err != nil {
		t.Fatalf("%v: %s", err, stored)
	}
	return obj
}

func parse(t *testing.T, text []byte) (object any) {
	t.Helper()
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return object
}

// BenchmarkCodec is what storage does with the Execution of an alert of 1 KB, in the form that is used and in JSON.
func BenchmarkCodec(b *testing.B) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	start := nanotime.New(time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC))
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "react-47v7as2lbbvipf3owmofumcxzz", UID: "0c1e5f7a-0000-4000-8000-000000000001",
			Labels: map[string]string{"karo.io/reaction": "react", "karo.io/alert": "KubePodCrashLooping"}, Finalizers: []string{"karo.io/memory"},
		},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "react", UID: "0c1e5f7a-0000-4000-8000-000000000002", Generation: 1, Revision: "react-4fbeeckp6xiwbjncme6odgekxv"},
			Trigger:  karo.TriggerNotification, Receiver: "karo", ReceivedAt: &start,
			Alert: karo.AlertOccurrence{
				Name: "KubePodCrashLooping", Status: karo.AlertFiring, StartsAt: &start, Fingerprint: "00000000000000ff",
				GeneratorURL: "http://prometheus.monitoring.svc:9090/graph?g0.expr=increase%28kube_pod_container_status_restarts_total%5B10m%5D%29+%3E+5",
				Labels:       map[string]string{"alertname": "KubePodCrashLooping", "pod": "cart-1", "container": "app", "namespace": "shop", "severity": "warning", "job": "kube-state-metrics"},
				Annotations:  map[string]string{"summary": "Pod is crash looping.", "description": strings.Repeat("What to look at is in the runbook. ", 10)},
			},
		},
	}
	for form, codec := range map[string]runtime.Codec{
		"CBOR": New(scheme, v1.SchemeGroupVersion), "JSON": serializer.NewCodecFactory(scheme).LegacyCodec(v1.SchemeGroupVersion),
	} {
		stored, err := runtime.Encode(codec, e)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode/"+form, func(b *testing.B) {
			b.ReportMetric(float64(len(stored)), "bytes")
			for b.Loop() {
				if _, err := runtime.Encode(codec, e); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+form, func(b *testing.B) {
			for b.Loop() {
				if _, err := runtime.Decode(codec, stored); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Of what cannot be read as a whole the metadata can be, each field by itself.
func TestMetadata(t *testing.T) {
	const uid = `"7"`
	for name, tc := range map[string]struct {
		stored string
		want   string
	}{
		"JSON":                     {`{"metadata": {"uid": "7"}, "spec": 1}`, uid},
		"JSON without any":         {`{"spec": 1}`, ""},
		"CBOR":                     {"\xd9\xd9\xf7\xa2\x48metadata\xa1\x43uid\x417\x44spec\x01", uid},
		"text strings":             {"\xd9\xd9\xf7\xa2\x68metadata\xa1\x63uid\x617\x64spec\x01", uid},
		"an integer that is large": {"\xd9\xd9\xf7\xa2\x48metadata\xa1\x43uid\x417\x44spec\x1b\xff\xff\xff\xff\xff\xff\xff\xff", uid},
		"a key twice":              {"\xd9\xd9\xf7\xa2\x48metadata\xa1\x43uid\x417\x44spec\xa2\x41a\x01\x41a\x02", uid},
		"such one in the metadata": {"\xd9\xd9\xf7\xa1\x48metadata\xa2\x43uid\x417\x4ageneration\x1b\xff\xff\xff\xff\xff\xff\xff\xff", uid},
	} {
		t.Run(name, func(t *testing.T) {
			metadata, err := Metadata([]byte(tc.stored))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(metadata["uid"]); got != tc.want {
				t.Errorf("got UID %s, want %s", got, tc.want)
			}
			if generation, ok := metadata["generation"]; ok {
				t.Errorf("got generation %s", generation)
			}
		})
	}
	for _, stored := range []string{"", "k8s\x00what the cluster writes", "\xd9\xd9\xf7\xa1", "\xd9\xd9\xf7\xa1\x44spec\x01", "\xd9\xd9\xf7\xa1\x48metadata\x01"} {
		if got, err := Metadata([]byte(stored)); err == nil {
			t.Errorf("%q has metadata: %s", stored, got)
		}
	}
}
