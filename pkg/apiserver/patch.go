// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"

	"karo.io/karo/pkg/apis/karo"
)

// maxPatchBytes is the size above which a patch is not looked at: the server refuses it.
const maxPatchBytes = 3 << 20

// kindsByResource are the kinds of the resources that can be patched.
var kindsByResource = map[string]string{"alertreactions": "AlertReaction", "executions": "Execution"}

// explainPatches says where in a patch a value is that its type cannot read. The server applies the patch before it reads
// the object, and then says what is wrong and not where; of server-side apply it says that the fault is its own.
func explainPatches(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		typed := patchedBy(req)
		if typed == nil {
			handler.ServeHTTP(w, req)
			return
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, maxPatchBytes+1))
		if err == nil && len(body) <= maxPatchBytes {
			var value any
			if yaml.Unmarshal(body, &value) == nil {
				if errs := unreadable(value, reflect.TypeOf(typed).Elem(), nil); len(errs) > 0 {
					bad := apierrors.NewBadRequest(errs.ToAggregate().Error())
					responsewriters.ErrorNegotiated(bad, Codecs, schema.GroupVersion{Group: karo.GroupName}, w, req)
					return
				}
			}
		}
		// Whatever was read, and how the reading ended, is for the server to see.
		req.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), req.Body), req.Body}
		handler.ServeHTTP(w, req)
	})
}

// patchedBy returns an object of the type that a patch, which is a part of such an object, is for, or nil.
func patchedBy(req *http.Request) runtime.Object {
	info, ok := genericapirequest.RequestInfoFrom(req.Context())
	if !ok || req.Method != http.MethodPatch || info.APIGroup != karo.GroupName {
		return nil
	}
	mediaType, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || !slices.Contains([]types.PatchType{types.ApplyYAMLPatchType, types.MergePatchType, types.StrategicMergePatchType}, types.PatchType(mediaType)) {
		return nil
	}
	typed, err := Scheme.New(schema.GroupVersionKind{Group: info.APIGroup, Version: info.APIVersion, Kind: kindsByResource[info.Resource]})
	if err != nil {
		return nil
	}
	return typed
}
