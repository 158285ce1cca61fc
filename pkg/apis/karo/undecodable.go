// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package karo

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Undecodable returns why what is stored of an object cannot be read, or "" if it can. Of one that cannot be read nothing
// is known but its metadata, so that nothing may be concluded from what it lacks.
func Undecodable(obj metav1.Object) string { return obj.GetAnnotations()[AnnotationUndecodable] }
