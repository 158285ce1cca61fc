// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package storagecodec

import (
	"encoding/json"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"karo.io/karo/pkg/apis/karo"
	karofuzzer "karo.io/karo/pkg/apis/karo/fuzzer"
	"karo.io/karo/pkg/apis/karo/install"
	v1 "karo.io/karo/pkg/apis/karo/v1"
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
			asJSON, err := JSON(stored)
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

// What no codec wrote is left to whoever reads it.
func TestJSONOfOther(t *testing.T) {
	for _, stored := range []string{"", "{}", "k8s\x00what the cluster writes", "\xa1\x61a\x61b"} {
		if got, err := JSON([]byte(stored)); err != nil || string(got) != stored {
			t.Errorf("%q became %q, %v", stored, got, err)
		}
	}
	if got, err := JSON([]byte("\xd9\xd9\xf7\xa1")); err == nil {
		t.Errorf("half an object became %s", got)
	}
}
