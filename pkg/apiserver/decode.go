// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// decoder says where in an object a value is that its type cannot read. The types of Kubernetes that read themselves,
// quantities above all, say what is wrong and not where.
type decoder struct {
	runtime.Decoder
}

// Decode implements runtime.Decoder.
func (d decoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, gvk, err := d.Decoder.Decode(data, defaults, into)
	if err == nil || gvk == nil || runtime.IsStrictDecodingError(err) || runtime.IsNotRegisteredError(err) {
		return obj, gvk, err
	}
	typed, newErr := Scheme.New(*gvk)
	if newErr != nil {
		return obj, gvk, err
	}
	var value any
	if yaml.Unmarshal(data, &value) != nil {
		return obj, gvk, err
	}
	if errs := unreadable(value, reflect.TypeOf(typed).Elem(), nil); len(errs) > 0 {
		return obj, gvk, errs.ToAggregate()
	}
	return obj, gvk, err
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// unreadable returns the values that their types refuse to read.
func unreadable(value any, t reflect.Type, path *field.Path) field.ErrorList {
	if value == nil {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		return unreadable(value, t.Elem(), path)
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		text, err := json.Marshal(value)
		if err != nil {
			return nil
		}
		if err := json.Unmarshal(text, reflect.New(t).Interface()); err != nil {
			return field.ErrorList{field.Invalid(path, value, err.Error())}
		}
		return nil
	}
	var errs field.ErrorList
	switch t.Kind() {
	case reflect.Struct:
		object, _ := value.(map[string]any)
		for f := range t.Fields() {
			errs = append(errs, unreadableField(object, f, path)...)
		}
	case reflect.Slice:
		items, _ := value.([]any)
		for i := range items {
			errs = append(errs, unreadable(items[i], t.Elem(), path.Index(i))...)
		}
	case reflect.Map:
		object, _ := value.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(object)) {
			// A strategic merge patch says what to do with a map by a key of its own.
			if !strings.HasPrefix(key, "$") {
				errs = append(errs, unreadable(object[key], t.Elem(), path.Key(key))...)
			}
		}
	}
	return errs
}

func unreadableField(object map[string]any, f reflect.StructField, path *field.Path) field.ErrorList {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" && f.Anonymous {
		return unreadable(any(object), f.Type, path)
	}
	value, given := object[name]
	if !given {
		return nil
	}
	if path == nil {
		return unreadable(value, f.Type, field.NewPath(name))
	}
	return unreadable(value, f.Type, path.Child(name))
}
