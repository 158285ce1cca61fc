// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package setaside keeps an object that is stored and cannot be read from being in the way of all others: a newer replica
// may have written a field as another type. Without it such an object fails every list of its kind, so that no cache of it
// is ever loaded.
//
// It is read as an object of its kind that has its metadata, the annotation karo.io/undecodable, and nothing else. So it
// is seen, and can be deleted. What is stored of it stays as it is until then, for the replica that can read it.
package setaside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/panics"
	"karo.io/karo/pkg/storagecodec"
)

// Options returns the storage options of resources of Karo, under which what cannot be read is set aside.
func Options(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return &optionsGetter{RESTOptionsGetter: getter}
}

type optionsGetter struct {
	generic.RESTOptionsGetter
	told sync.Map // of the kinds and UIDs of what was set aside: several caches read the same
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g *optionsGetter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	opts, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil || example == nil { // The generic server asks for the prefix alone.
		return opts, err
	}
	config := *opts.StorageConfig
	config.Codec = &codec{Codec: config.Codec, kind: reflect.TypeOf(example).Elem(), resource: resource.Resource, told: &g.told}
	if config.Transformer == nil {
		config.Transformer = identity.NewEncryptCheckTransformer()
	}
	config.Transformer = guard{config.Transformer}
	opts.StorageConfig = &config
	return opts, nil
}

// codec reads the objects of one resource.
type codec struct {
	runtime.Codec
	kind     reflect.Type // the internal one
	resource string
	told     *sync.Map
}

// Decode implements runtime.Decoder.
func (c *codec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, gvk, err := c.decode(data, defaults, into)
	if err == nil {
		return obj, gvk, nil
	}
	aside, metaErr := c.setAside(data, err)
	if metaErr != nil {
		return nil, gvk, fmt.Errorf("%w; as its metadata cannot be read either (%s), it cannot be set aside: "+
			"%s cannot be served until its key is deleted from etcd, or it is repaired there", err, metaErr, c.resource)
	}
	if into != nil {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(aside).Elem())
		aside = into
	}
	return aside, gvk, nil
}

// decode reads an object of the kind, or fails. An object that a conversion cannot cope with is one that cannot be read.
func (c *codec) decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (obj runtime.Object, gvk *schema.GroupVersionKind, err error) {
	err = panics.Catch("reading "+c.resource, func() (err error) {
		obj, gvk, err = c.Codec.Decode(data, defaults, into)
		return err
	})
	if err == nil && reflect.TypeOf(obj).Elem() != c.kind {
		err = fmt.Errorf("it is a %s, and stored as one of the %s", gvk.Kind, c.resource)
	}
	return obj, gvk, err
}

// setAside returns what stands for an object that cannot be read.
func (c *codec) setAside(data []byte, why error) (runtime.Object, error) {
	metadata, err := metadataOf(data)
	if err != nil {
		return nil, err
	}
	if metadata.Annotations == nil {
		metadata.Annotations = map[string]string{}
	}
	metadata.Annotations[karo.AnnotationUndecodable] = events.Quote(why.Error())
	obj := reflect.New(c.kind).Interface().(runtime.Object)
	*obj.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta) = *metadata
	describe(obj)
	if _, told := c.told.LoadOrStore(c.resource+"/"+metadata.Namespace+"/"+metadata.Name+"/"+string(metadata.UID), true); !told {
		klog.ErrorS(nil, "Set aside an object that cannot be read from the store. It is left as it is, and can be deleted",
			"resource", c.resource, "object", klog.KRef(metadata.Namespace, metadata.Name), "uid", metadata.UID, "why", metadata.Annotations[karo.AnnotationUndecodable])
	}
	return obj, nil
}

// describe says of an object that was set aside, in its own terms, that nothing happens with it.
func describe(obj runtime.Object) {
	switch o := obj.(type) {
	case *karo.Execution:
		// That it is over keeps it from being run, and that it was skipped from being taken for a run that ended: it has no
		// time of an end either, so that it is not pruned.
		o.Status.Phase, o.Status.Reason = karo.PhaseSkipped, v1.ReasonUndecodable
		o.Status.Conditions = []metav1.Condition{condition(&o.ObjectMeta, v1.ConditionFinished, metav1.ConditionTrue)}
		if owner := metav1.GetControllerOf(o); owner != nil {
			o.Spec.Reaction.Name, o.Spec.Reaction.UID = owner.Name, owner.UID
		}
	case *karo.AlertReaction:
		o.Status.Conditions = []metav1.Condition{condition(&o.ObjectMeta, v1.ConditionReady, metav1.ConditionFalse)}
	}
}

func condition(m *metav1.ObjectMeta, of string, status metav1.ConditionStatus) metav1.Condition {
	return metav1.Condition{
		Type: of, Status: status, Reason: v1.ReasonUndecodable, ObservedGeneration: m.Generation, LastTransitionTime: m.CreationTimestamp,
		Message: "what is stored cannot be read: " + m.Annotations[karo.AnnotationUndecodable],
	}
}

// metadataOf returns of the metadata of an object what can be read. Who manages which field says nothing without them.
func metadataOf(data []byte) (*metav1.ObjectMeta, error) {
	fields, err := storagecodec.Metadata(data)
	if err != nil {
		return nil, err
	}
	delete(fields, "managedFields")
	metadata := metav1.ObjectMeta{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field, err := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if err != nil {
			return nil, err
		}
		with := metadata // What fails halfway leaves nothing behind.
		if json.Unmarshal(field, &with) == nil {
			metadata = with
		}
	}
	if metadata.Namespace == "" || metadata.Name == "" {
		return nil, errors.New("it has no namespace or no name")
	}
	return &metadata, nil
}

// guard keeps what stands for an object from being stored in its place. Only what is being deleted is stored so, with
// what its deletion waits for.
type guard struct {
	value.Transformer
}

// marker is in every object that has the annotation, and in few others.
var marker = []byte(karo.AnnotationUndecodable)

// TransformToStorage implements value.Transformer.
func (g guard) TransformToStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, error) {
	if bytes.Contains(data, marker) {
		metadata, err := metadataOf(data)
		if err != nil {
			return nil, err
		}
		if why := karo.Undecodable(metadata); why != "" && metadata.DeletionTimestamp == nil {
			return nil, fmt.Errorf("%s/%s cannot be changed, since what is stored of it cannot be read: %s", metadata.Namespace, metadata.Name, why)
		}
	}
	return g.Transformer.TransformToStorage(ctx, data, dataCtx)
}
