// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package records

import (
	"context"
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"karo.io/karo/pkg/apis/karo"
)

// What would come again is refused once; anything else is tried again, so that no alert is lost by it.
func TestIsPermanent(t *testing.T) {
	resource := karo.Resource("executions")
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"none":                   {nil, false},
		"invalid":                {apierrors.NewInvalid(karo.Kind("Execution"), "e", nil), true},
		"bad request":            {fmt.Errorf("storing: %w", apierrors.NewBadRequest("no")), true},
		"too large for etcd":     {rpctypes.ErrRequestTooLarge, true},
		"as the API tells it":    {apierrors.NewInternalError(rpctypes.ErrRequestTooLarge), true},
		"too large for gRPC":     {status.Error(codes.ResourceExhausted, "trying to send message larger than max (3 vs. 2)"), true},
		"no space":               {rpctypes.ErrNoSpace, false},
		"too many requests":      {status.Error(codes.ResourceExhausted, "etcdserver: too many requests"), false},
		"conflict":               {apierrors.NewConflict(resource, "e", nil), false},
		"exists":                 {apierrors.NewAlreadyExists(resource, "e"), false},
		"not found":              {apierrors.NewNotFound(resource, "e"), false},
		"unavailable":            {apierrors.NewServiceUnavailable("etcd is away"), false},
		"the sender went away":   {context.Canceled, false},
		"etcd did not answer":    {context.DeadlineExceeded, false},
		"etcd is without leader": {rpctypes.ErrNoLeader, false},
	} {
		if got := IsPermanent(test.err); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}
