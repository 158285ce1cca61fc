// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package table turns objects into the tables that kubectl prints.
package table

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"karo.io/karo/pkg/apis/karo"
)

// undecodable stands in the first column of an object that is stored and cannot be read.
const undecodable = "<undecodable>"

// Column describes one column. One of priority 1 is shown by -o wide only.
type Column struct {
	Name, Type, Description string
	Priority                int32
}

// maxCell bounds a cell, in characters: a label of an alert may be of any length.
const maxCell = 100

// Convertor turns objects of type T into rows.
type Convertor[T runtime.Object] struct {
	columns    []metav1.TableColumnDefinition
	cells      func(T) []any
	newestLast bool
}

// New returns a convertor for objects of type T. The name of the object comes first and its age last; cells returns
// what stands in the columns between.
func New[T runtime.Object](cells func(T) []any, columns ...Column) *Convertor[T] {
	c := &Convertor[T]{cells: cells, columns: []metav1.TableColumnDefinition{
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

// NewestLast has the rows of a list in the order in which the objects were created, so that what a terminal shows last
// is what happened last.
func (c *Convertor[T]) NewestLast() *Convertor[T] {
	c.newestLast = true
	return c
}

// ConvertToTable implements rest.TableConvertor.
func (c *Convertor[T]) ConvertToTable(_ context.Context, obj, tableOptions runtime.Object) (*metav1.Table, error) {
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
	table.Rows, err = metatable.MetaToTableRow(obj, func(obj runtime.Object, m metav1.Object, name, age string) ([]any, error) {
		cells := append([]any{name}, c.cells(obj.(T))...)
		if karo.Undecodable(m) != "" {
			cells[1] = undecodable
		}
		for i := range cells {
			if text, ok := cells[i].(string); ok {
				cells[i] = printable(text)
			}
		}
		return append(cells, age), nil
	})
	if c.newestLast {
		slices.SortStableFunc(table.Rows, func(a, b metav1.TableRow) int {
			return created(a).Compare(created(b))
		})
	}
	return table, err
}

// Since returns how long ago a time was, as kubectl prints it.
func Since(t *metav1.Time) string {
	if t == nil {
		return "<never>"
	}
	return metatable.ConvertToHumanReadableDateType(*t)
}

func created(row metav1.TableRow) time.Time {
	accessor, err := meta.Accessor(row.Object.Object)
	if err != nil {
		return time.Time{}
	}
	return accessor.GetCreationTimestamp().Time
}

// printable keeps what a cell shows from moving the cursor, or changing the colours, of the terminal that shows it: the
// texts of alerts come from outside.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
	if runes := []rune(text); len(runes) > maxCell {
		return string(runes[:maxCell-1]) + "…"
	}
	return text
}
