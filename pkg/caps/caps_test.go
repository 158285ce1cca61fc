// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package caps

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
)

const limit = 3

func newCap() *Cap { return New(karo.Resource("executions"), limit, "delete some") }

func execution(namespace, name string) *karo.Execution {
	return &karo.Execution{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func begin(t *testing.T, c *Cap, namespace, name string, dryRun ...string) (registry.FinishFunc, error) {
	t.Helper()
	ctx := genericapirequest.WithNamespace(t.Context(), namespace)
	return c.Begin(ctx, execution("", name), &metav1.CreateOptions{DryRun: dryRun})
}

// create lets an object pass, and has the informer show it.
func create(t *testing.T, c *Cap, namespace, name string) {
	t.Helper()
	finish, err := begin(t, c, namespace, name)
	if err != nil {
		t.Fatalf("%s/%s: %v", namespace, name, err)
	}
	finish(t.Context(), true)
	c.OnAdd(execution(namespace, name), false)
}

func TestCap(t *testing.T) {
	c := newCap()
	c.OnAdd(execution("ns", "a"), true)
	create(t, c, "ns", "b")
	// An update is no other object.
	c.OnUpdate(execution("ns", "b"), execution("ns", "b"))
	create(t, c, "ns", "c")
	_, err := begin(t, c, "ns", "d")
	if !IsExceeded(err) || !apierrors.IsForbidden(err) || !IsExceeded(fmt.Errorf("creating: %w", err)) {
		t.Fatalf("the fourth: %v", err)
	}
	want := `executions.karo.io "d" is forbidden: exceeded quota: namespace ns has 3 executions, and may have 3; delete some`
	if err.Error() != want || c.Check("ns", "d") == nil {
		t.Errorf("got %q, want %q, and the same of a check", err, want)
	}
	create(t, c, "other", "d")
	if _, err := begin(t, c, "ns", "d", metav1.DryRunAll); !IsExceeded(err) {
		t.Errorf("a dry run: %v", err)
	}

	c.OnDelete(execution("ns", "a"))
	if _, err := begin(t, c, "ns", "d", metav1.DryRunAll); err != nil || c.Check("ns", "d") != nil {
		t.Errorf("a dry run, with room: %v", err)
	}
	create(t, c, "ns", "d")
	c.OnDelete(cache.DeletedFinalStateUnknown{Key: "ns/b"})
	create(t, c, "ns", "e")
	if IsExceeded(apierrors.NewForbidden(karo.Resource("executions"), "e", nil)) {
		t.Error("whatever is forbidden exceeds a cap")
	}
}

// What is being created counts, once, from before it is stored until the informer shows it; what fails does not.
func TestComing(t *testing.T) {
	c := newCap()
	for _, name := range []string{"a", "b", "c"} {
		if _, err := begin(t, c, "ns", name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := begin(t, c, "ns", "d"); !IsExceeded(err) {
		t.Fatalf("the fourth: %v", err)
	}
	// The informer may be faster than the store's answer.
	c.OnAdd(execution("ns", "a"), false)
	if n := c.namespaces["ns"].total(); n != 3 {
		t.Errorf("%d objects, not 3", n)
	}
	c.OnDelete(execution("ns", "a"))
	finish, err := begin(t, c, "ns", "d")
	if err != nil {
		t.Fatal(err)
	}
	finish(t.Context(), false)
	create(t, c, "ns", "d")
	// What the informer never showed is forgotten after a while.
	c.namespaces["ns"].coming["b"] = time.Now().Add(-2 * forgetAfter)
	create(t, c, "ns", "e")
	for _, name := range []string{"c", "d", "e"} {
		c.OnAdd(execution("ns", name), false)
		c.OnDelete(execution("ns", name))
	}
	c.OnDelete(execution("ns", "d"))
	c.OnDelete(execution("ns", "e"))
	if len(c.namespaces) != 0 {
		t.Errorf("it still counts %v", c.namespaces)
	}
}

func TestNoLimit(t *testing.T) {
	for name, c := range map[string]*Cap{"nil": nil, "0": New(karo.Resource("executions"), 0, "")} {
		for i := range 10 {
			if _, err := begin(t, c, "ns", fmt.Sprint(i)); err != nil || c.Check("ns", "a") != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// However many come at once, no more than the limit pass.
func TestAtOnce(t *testing.T) {
	c := newCap()
	var passed atomic.Int32
	var running sync.WaitGroup
	for i := range 50 {
		running.Go(func() {
			finish, err := begin(t, c, "ns", fmt.Sprint(i))
			switch {
			case err == nil:
				passed.Add(1)
				finish(context.Background(), true)
				c.OnAdd(execution("ns", fmt.Sprint(i)), false)
			case !strings.Contains(err.Error(), "exceeded quota"):
				t.Error(err)
			}
		})
	}
	running.Wait()
	if passed.Load() != limit {
		t.Errorf("%d passed, not %d", passed.Load(), limit)
	}
}
