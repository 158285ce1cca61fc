// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package nanotime

import (
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

func init() {
	// The machinery compares whole objects, when a field is immutable or an update may change nothing, and panics at
	// the unexported fields of time.Time unless it is told how to compare the type that holds it.
	utilruntime.Must(equality.Semantic.AddFunc(func(a, b Time) bool { return a.Equal(b.Time) }))
}

// Time is an instant to the nanosecond. Its JSON form is an RFC 3339 string in UTC with as many fractional digits as
// the instant has; the zero Time is null.
type Time struct {
	time.Time `json:"-"`
}

// New returns t as a Time in UTC, without the monotonic clock reading, so that equal instants are equal values.
func New(t time.Time) Time {
	return Time{t.UTC()}
}

// Parse reads an RFC 3339 timestamp.
func Parse(s string) (Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return Time{}, fmt.Errorf("%q is not an RFC 3339 timestamp", s)
	}
	utc := New(t)
	// An offset can carry a time out of the years that RFC 3339 has, and then its own text could not be read again.
	if utc.Year() < 0 || utc.Year() > 9999 {
		return Time{}, fmt.Errorf("%q is not within the years 0 to 9999 of UTC", s)
	}
	return utc, nil
}

// String returns the JSON form without quotes, and "" for the zero Time.
func (t Time) String() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	// The library refuses what could not be read again.
	return t.UTC().MarshalJSON()
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*t = Time{}
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("timestamp %s is not a string", data)
	}
	parsed, err := Parse(s)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// DeepCopyInto copies the receiver; the generated code cannot look inside time.Time.
func (t *Time) DeepCopyInto(out *Time) {
	*out = *t
}

// OpenAPISchemaType is used by the kube-openapi generator: the type is a string on the wire.
func (Time) OpenAPISchemaType() []string { return []string{"string"} }

// OpenAPISchemaFormat is used by the kube-openapi generator.
func (Time) OpenAPISchemaFormat() string { return "date-time" }
