// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package table turns objects into the tables that kubectl prints.
package table

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Column describes one column. One of priority 1 is shown by -o wide only.
type Column struct {
	Name, Type, Description string
	Priority                int32
}

type convertor[T runtime.Object] struct {
	columns []metav1.TableColumnDefinition
	cells   func(T) []any
}

// New returns a convertor for objects of type T. The name of the object comes first and its age last; cells returns
// what stands in the columns between.
func New[T runtime.Object](cells func(T) []any, columns ...Column) rest.TableConvertor {
	c := &convertor[T]{cells: cells, columns: []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: "Name of the object, unique in its namespace."},
	}}
	for _, column := range columns {
		c.columns = append(c.columns, metav1.TableColumnDefinition{
			Name: column.Name, Type: column.Type, Description: column.Description, Priority: column.Priority,
		})
	}
	c.columns = append(c.columns, metav1.TableColumnDefinition{
		Name: "Age", Type: "string", Description: "Time since the object was created.",
	})
	return c
}

// ConvertToTable implements rest.TableConvertor.
func (c *convertor[T]) ConvertToTable(_ context.Context, obj, tableOptions runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if options, ok := tableOptions.(*metav1.TableOptions); !ok || !options.NoHeaders {
		table.ColumnDefinitions = c.columns
	}
	if list, err := meta.ListAccessor(obj); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else if object, err := meta.CommonAccessor(obj); err == nil {
		table.ResourceVersion = object.GetResourceVersion()
	}
	var err error
	table.Rows, err = metatable.MetaToTableRow(obj, func(obj runtime.Object, _ metav1.Object, name, age string) ([]any, error) {
		cells := append([]any{name}, c.cells(obj.(T))...)
		return append(cells, age), nil
	})
	return table, err
}

// Since returns how long ago a time was, as kubectl prints it.
func Since(t *metav1.Time) string {
	if t == nil {
		return "<never>"
	}
	return metatable.ConvertToHumanReadableDateType(*t)
}
