// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package records

import (
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// IsPermanent reports whether storing the same object would fail again, however often it is tried.
func IsPermanent(err error) bool {
	if err == nil {
		return false
	}
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		errors.Is(err, rpctypes.ErrRequestTooLarge) || strings.Contains(err.Error(), rpctypes.ErrorDesc(rpctypes.ErrRequestTooLarge)) ||
		strings.Contains(err.Error(), "trying to send message larger than max") // The client of etcd, which has no other word for it.
}
