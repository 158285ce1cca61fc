// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/metrics"
	"karo.io/karo/pkg/records"
	"karo.io/karo/pkg/recovery"
	"karo.io/karo/pkg/storeid"
)

const (
	// identityInterval is how often the replica that executes replaces the number in the store, and every replica looks
	// whether the store is still the one that the cluster knows. What is restored to a state that is younger than that is
	// not noticed.
	identityInterval = 10 * time.Second
	// maxUnanswered is how often in a row a replica may ask the store in vain before it gives the lease back.
	maxUnanswered = 3
	// tellAgain is how often it is said, in the log and in an Event, that the server is paused.
	tellAgain = 10 * time.Minute
)

// pause keeps a server from running anything while its store is not the one that the cluster knows. The API is served, so
// that reactions can be brought back, and so that nothing else of the cluster has to wait.
type pause struct {
	identity  *storeid.Identity
	recovery  *recovery.Recovery
	events    *events.Recorder
	namespace string
	// alone is whether the store is in this process, so that no other replica reaches it.
	alone bool

	lock        sync.Mutex // never held for long: the end of the work may wait for it
	told        time.Time
	writing     bool
	writtenBack string                           // the ID of the mismatch for which it is done
	noticed     chan struct{}                    // has run look at once
	why         atomic.Pointer[storeid.Mismatch] // nil while not paused
}

// begin decides whether the server is paused from its start. Before that the Executions are there again whose Jobs the
// garbage collector would delete.
func (p *pause) begin(ctx context.Context, optsGetter generic.RESTOptionsGetter, client kubernetes.Interface, records *records.Records, recorder *events.Recorder, extra *ExtraConfig) error {
	opts, err := optsGetter.GetRESTOptions(karo.Resource("executions"), &karo.Execution{})
	if err != nil {
		return fmt.Errorf("storage options: %w", err)
	}
	if p.identity, err = storeid.Open(&opts.StorageConfig.Config, client, extra.Namespace); err != nil {
		return err
	}
	p.recovery = &recovery.Recovery{Store: records, Client: client, Events: recorder}
	p.events, p.namespace, p.alone, p.noticed = recorder, extra.Namespace, extra.Etcd != nil, make(chan struct{}, 1)
	for {
		// With Jobs of Executions that a store without an identity has not, it is no first installation.
		err := p.identity.Disown(ctx, p.recovery.Lost)
		if errors.Is(err, storeid.ErrChanged) {
			continue
		}
		if err != nil {
			return err
		}
		err = p.renew(ctx)
		mismatch, ok := errors.AsType[*storeid.Mismatch](err)
		if !ok {
			return err
		}
		if mismatch.ID != extra.AcceptStore {
			if extra.AcceptStore != "" {
				klog.FromContext(ctx).Info("--accept-store is of another store, or of another state of it", "given", extra.AcceptStore)
			}
			p.enter(ctx, mismatch)
			return p.writeBack(ctx)
		}
		err = p.accept(ctx, mismatch)
		// Another replica may be accepting it too. What it has left is looked at again.
		if !apierrors.IsConflict(err) && !errors.Is(err, storeid.ErrChanged) {
			return err
		}
	}
}

// accept makes the store the right one, once it is in line with the Jobs in the cluster.
func (p *pause) accept(ctx context.Context, mismatch *storeid.Mismatch) error {
	written, err := p.recovery.WriteBack(ctx)
	if err != nil {
		return err
	}
	settled, err := p.recovery.Settle(ctx, func(ctx context.Context) error { return p.still(ctx, mismatch) })
	if err != nil {
		return err
	}
	if err := p.identity.Accept(ctx, mismatch); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("The store was accepted", "mismatch", mismatch.ID, "executionsWrittenBack", written, "executionsSettled", settled)
	p.events.Namespace(p.namespace, corev1.EventTypeNormal, "StoreAccepted", "The store was accepted by --accept-store=%s", mismatch.ID)
	return nil
}

// still returns an error unless the store does not match in the same way.
func (p *pause) still(ctx context.Context, mismatch *storeid.Mismatch) error {
	err := p.identity.Verify(ctx)
	now, ok := errors.AsType[*storeid.Mismatch](err)
	switch {
	case ok && now.ID == mismatch.ID:
		return nil
	case ok || err == nil:
		return storeid.ErrChanged
	}
	return err
}

// enter pauses the server, or says again that and why it is paused.
func (p *pause) enter(ctx context.Context, mismatch *storeid.Mismatch) {
	p.lock.Lock()
	defer p.lock.Unlock()
	before := p.why.Swap(mismatch)
	metrics.Paused(true)
	news := before == nil || before.ID != mismatch.ID
	if news || time.Since(p.told) > tellAgain {
		p.told = time.Now()
		klog.FromContext(ctx).Error(mismatch, "Paused: nothing runs and notifications are refused, until it is started with --accept-store="+mismatch.ID)
		p.events.Namespace(p.namespace, corev1.EventTypeWarning, "Paused", "%s", message(mismatch))
	}
	if news {
		select {
		case p.noticed <- struct{}{}:
		default:
		}
	}
}

// writeBack has the Executions be there whose Jobs the garbage collector would delete, once in each pause. It takes its
// time, in which the pause may begin and end.
func (p *pause) writeBack(ctx context.Context) error {
	p.lock.Lock()
	mismatch := p.why.Load()
	if mismatch == nil || p.writing || p.writtenBack == mismatch.ID {
		p.lock.Unlock()
		return nil
	}
	p.writing = true
	p.lock.Unlock()
	written, err := p.recovery.WriteBack(ctx)
	p.lock.Lock()
	defer p.lock.Unlock()
	p.writing = false
	if err != nil {
		return err
	}
	if now := p.why.Load(); now != nil && now.ID == mismatch.ID {
		p.writtenBack = mismatch.ID
	}
	klog.FromContext(ctx).Info("The Executions whose Jobs are in the cluster are in the store", "writtenBack", written)
	return nil
}

func message(mismatch *storeid.Mismatch) string {
	return fmt.Sprintf("Karo is paused: %v. Nothing runs and notifications are refused, until it is started with --accept-store=%s, "+
		"which takes this store for the right one", mismatch, mismatch.ID)
}

// run looks at the store until ctx ends.
func (p *pause) run(ctx context.Context) {
	ticker := time.NewTicker(identityInterval)
	defer ticker.Stop()
	for {
		p.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-p.noticed:
		}
	}
}

func (p *pause) look(ctx context.Context) {
	logger := klog.FromContext(ctx)
	if err := p.heed(ctx, p.identity.Verify(ctx)); err != nil && p.why.Load() == nil && ctx.Err() == nil {
		logger.Error(err, "Cannot tell whether the store is the one that the cluster knows; will be tried again")
	}
	if err := p.writeBack(ctx); err != nil && ctx.Err() == nil {
		logger.Error(err, "Cannot store the Executions again whose Jobs are in the cluster; will be tried again")
	}
}

// heed enters or ends the pause by what is known of the store. It does not wait for anything: whoever leads has to end its
// work at once.
func (p *pause) heed(ctx context.Context, err error) error {
	if mismatch, ok := errors.AsType[*storeid.Mismatch](err); ok {
		p.enter(ctx, mismatch)
		return err
	}
	if err != nil {
		return err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.why.Swap(nil) != nil {
		p.writtenBack = ""
		metrics.Paused(false)
		klog.FromContext(ctx).Info("Another replica has accepted the store; no longer paused")
	}
	return nil
}

// advance replaces the number in the store, or returns an error if the store is not the one that the cluster knows.
func (p *pause) advance(ctx context.Context) error { return p.heed(ctx, p.renew(ctx)) }

// renew replaces the number. That it cannot be replaced now, as in a store that is full, says nothing against the store.
func (p *pause) renew(ctx context.Context) error {
	err := p.identity.Advance(ctx)
	if _, ok := errors.AsType[*storeid.Mismatch](err); ok || err == nil {
		return err
	}
	if verifyErr := p.identity.Verify(ctx); verifyErr != nil {
		return verifyErr
	}
	klog.FromContext(ctx).Error(err, "The number of the store could not be replaced; an earlier state of the store may not be known for one")
	return nil
}

// lead replaces the number in the store again and again, until ctx ends, the store is not the right one any more, or it
// cannot be told for long.
func (p *pause) lead(ctx context.Context) error {
	limit := maxUnanswered
	if p.alone {
		limit = math.MaxInt
	}
	return keepAsking(ctx, limit, func(ctx context.Context) error {
		err := p.advance(ctx)
		if mismatch := p.why.Load(); err != nil && mismatch != nil {
			return mismatch
		}
		return err
	})
}

// keepAsking asks every identityInterval, until ctx ends. It is an error when the store is not the right one, and when it was
// asked as often as limit says in vain: another replica may reach the store, and must have the lease then.
func keepAsking(ctx context.Context, limit int, ask func(context.Context) error) error {
	ticker := time.NewTicker(identityInterval)
	defer ticker.Stop()
	unanswered := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, identityInterval)
			defer cancel()
			return ask(ctx)
		}()
		switch {
		case err == nil:
			unanswered = 0
			continue
		case ctx.Err() != nil:
			return nil
		}
		if _, ok := errors.AsType[*storeid.Mismatch](err); ok {
			return err
		}
		if unanswered++; unanswered >= limit {
			return fmt.Errorf("asked the store %d times in vain: %w", unanswered, err)
		}
		klog.FromContext(ctx).Error(err, "Cannot tell whether the store is the one that the cluster knows; will be tried again")
	}
}

// over returns nil once the server is not paused, or an error when ctx ends first.
func (p *pause) over(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) { return p.why.Load() == nil, ctx.Err() })
}

func (p *pause) close() { p.identity.Close() }

// guard refuses what would run something, so that it is sent again, and warns whoever asks for anything else. To be
// unready would not do: no namespace of the cluster could end.
func (p *pause) guard(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mismatch := p.why.Load()
		info, ok := genericapirequest.RequestInfoFrom(req.Context())
		if mismatch == nil || !ok || !info.IsResourceRequest {
			handler.ServeHTTP(w, req)
			return
		}
		if runs(info) {
			unavailable := apierrors.NewServiceUnavailable(message(mismatch))
			responsewriters.ErrorNegotiated(unavailable, Codecs, schema.GroupVersion{Group: karo.GroupName}, w, req)
			return
		}
		if info.Verb != "watch" {
			warning.AddWarning(req.Context(), "", message(mismatch))
		}
		handler.ServeHTTP(w, req)
	})
}

// runs reports whether a request asks for something to be run.
func runs(info *genericapirequest.RequestInfo) bool {
	return triggers(info) || info.Verb == "create" &&
		(info.Resource == "executions" && info.Subresource == "" || info.Resource == "alertreactions" && info.Subresource == "executions")
}
