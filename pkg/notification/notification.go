// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package notification reads the body of Alertmanager's webhook as a stream.
//
// What is no notification at all is an error. An alert that makes no sense on its own is set aside with the reason,
// so that it does no harm to the others of its group.
package notification

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
)

// MaxAlertBytes is the size, as JSON, above which an alert cannot be stored in an Execution.
const MaxAlertBytes = 512 << 10

// MaxAlerts is how many alerts a notification may have. The largest groups that are known have 20,000.
const MaxAlerts = 100_000

// maxReceiver is the length to which the name of a receiver is cut: every Execution holds it.
const maxReceiver = 1 << 10

// ErrTooManyAlerts is the error of a notification with more than MaxAlerts.
var ErrTooManyAlerts = fmt.Errorf("a notification has at most %d alerts", MaxAlerts)

// Notification is one notification, in the words of the API.
type Notification struct {
	Receiver        string
	TruncatedAlerts int64
	Alerts          []Alert
}

// Alert is one alert of a notification.
type Alert struct {
	karo.AlertOccurrence
	// Err says why the alert can never be stored; nil for a good one.
	Err error
}

// SyntaxError says what is wrong with a body, and where.
type SyntaxError struct {
	// Offset is how many bytes were read before the error.
	Offset int64
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not an Alertmanager notification: at byte %d: %s", e.Offset, e.Reason)
}

// Decode reads a notification. The error is a *SyntaxError when the body is no notification, ErrTooManyAlerts when it
// is too large a one, else the reader's own.
func Decode(r io.Reader) (*Notification, error) {
	d := &decoder{json: json.NewDecoder(r)}
	d.json.UseNumber() // Else a number that no float64 can hold would be an error of neither the body nor the reader.
	if err := d.notification(); err != nil {
		return nil, err
	}
	return d.finish(), nil
}

type decoder struct {
	json   *json.Decoder
	result Notification
	status *string
	seen   bool
}

func (d *decoder) notification() error {
	if err := d.delim('{', "a JSON object"); err != nil {
		return err
	}
	for d.json.More() {
		key, err := d.json.Token()
		if err != nil {
			return d.fail(err)
		}
		switch key {
		case "receiver":
			err = d.value("receiver", &d.result.Receiver)
		case "truncatedAlerts":
			err = d.value("truncatedAlerts", &d.result.TruncatedAlerts)
		case "status":
			err = d.value("status", &d.status)
		case "alerts":
			err = d.alerts()
		default:
			err = d.skip()
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.json.Token(); err != nil {
		return d.fail(err)
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			return &SyntaxError{Offset: d.json.InputOffset(), Reason: "unexpected data after the notification"}
		}
		return d.fail(err)
	}
	if !d.seen {
		return &SyntaxError{Offset: d.json.InputOffset(), Reason: `the field "alerts" is missing`}
	}
	return nil
}

func (d *decoder) alerts() error {
	d.seen = true
	d.result.Alerts = nil // Of a field that is given twice the last counts, as in any JSON object.
	token, err := d.json.Token()
	if err != nil {
		return d.fail(err)
	}
	if token == nil {
		return nil
	}
	if token != json.Delim('[') {
		return &SyntaxError{Offset: d.json.InputOffset(), Reason: "alerts: must be an array"}
	}
	for d.json.More() {
		if len(d.result.Alerts) == MaxAlerts {
			return ErrTooManyAlerts
		}
		var raw json.RawMessage
		if err := d.json.Decode(&raw); err != nil {
			return d.fail(err)
		}
		d.result.Alerts = append(d.result.Alerts, decodeAlert(raw, field.NewPath("alerts").Index(len(d.result.Alerts))))
	}
	if _, err := d.json.Token(); err != nil {
		return d.fail(err)
	}
	return nil
}

// skip reads a value that nobody asked for, token by token, so that it is never in memory as a whole.
func (d *decoder) skip() error {
	depth := 0
	for {
		token, err := d.json.Token()
		if err != nil {
			return d.fail(err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// finish gives the alerts that lack a status that of the group, which may stand behind them.
func (d *decoder) finish() *Notification {
	groupStatus := karo.AlertFiring
	if d.status != nil && karo.AlertStatus(*d.status) == karo.AlertResolved {
		groupStatus = karo.AlertResolved
	}
	for i := range d.result.Alerts {
		if d.result.Alerts[i].Status == "" {
			d.result.Alerts[i].Status = groupStatus
		}
	}
	if len(d.result.Receiver) > maxReceiver {
		d.result.Receiver = strings.ToValidUTF8(d.result.Receiver[:maxReceiver], "")
	}
	return &d.result
}

func (d *decoder) delim(want json.Delim, name string) error {
	token, err := d.json.Token()
	if err != nil {
		return d.fail(err)
	}
	if token != want {
		return &SyntaxError{Offset: d.json.InputOffset(), Reason: "must be " + name}
	}
	return nil
}

func (d *decoder) value(name string, into any) error {
	if err := d.json.Decode(into); err != nil {
		if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return &SyntaxError{Offset: d.json.InputOffset(), Reason: fmt.Sprintf("%s: unexpected %s", name, typeErr.Value)}
		}
		return d.fail(err)
	}
	return nil
}

// fail turns what the JSON library says of the body into a SyntaxError and leaves the reader's own errors alone.
func (d *decoder) fail(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) && d.json.InputOffset() == 0:
		return &SyntaxError{Reason: "the body is empty"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &SyntaxError{Offset: d.json.InputOffset(), Reason: "the body ends in the middle of the notification"}
	case errors.As(err, &syntax):
		return &SyntaxError{Offset: d.json.InputOffset(), Reason: syntax.Error()}
	default:
		return err
	}
}

// alertJSON is an alert on the wire.
type alertJSON struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

func decodeAlert(raw json.RawMessage, path *field.Path) Alert {
	if len(raw) > MaxAlertBytes {
		return Alert{AlertOccurrence: identity(raw), Err: field.TooLong(path, "", MaxAlertBytes)}
	}
	var in alertJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return Alert{AlertOccurrence: identity(raw), Err: alertError(path, err)}
	}
	alert := Alert{AlertOccurrence: karo.AlertOccurrence{
		Name:         in.Labels[model.AlertNameLabel],
		Status:       karo.AlertStatus(in.Status),
		Labels:       in.Labels,
		Annotations:  in.Annotations,
		GeneratorURL: in.GeneratorURL,
		Fingerprint:  in.Fingerprint,
	}}
	// What is stored may be longer than what was sent: JSON is written with some characters as six.
	if len(raw) > MaxAlertBytes/6 && IsTooLarge(&alert.AlertOccurrence) {
		return Alert{AlertOccurrence: identity(raw), Err: field.TooLong(path, "", MaxAlertBytes)}
	}
	if alert.Fingerprint == "" {
		alert.Fingerprint = Fingerprint(in.Labels)
	}
	if len(in.Labels) == 0 {
		alert.Err = field.Required(path.Child("labels"), "an alert has at least one label")
	}
	if in.Status != "" && alert.Status != karo.AlertFiring && alert.Status != karo.AlertResolved {
		alert.Err = field.NotSupported(path.Child("status"), alert.Status, []karo.AlertStatus{karo.AlertFiring, karo.AlertResolved})
	}
	var err error
	if alert.StartsAt, err = instant(in.StartsAt); err != nil {
		alert.Err = field.Invalid(path.Child("startsAt"), field.OmitValueType{}, err.Error())
	}
	if alert.EndsAt, err = instant(in.EndsAt); err != nil {
		alert.Err = field.Invalid(path.Child("endsAt"), field.OmitValueType{}, err.Error())
	}
	return alert
}

// IsTooLarge reports whether an alert cannot be stored in an Execution.
func IsTooLarge(alert *karo.AlertOccurrence) bool {
	stored, err := json.Marshal([]any{alert.Labels, alert.Annotations, alert.GeneratorURL, alert.Fingerprint})
	return err != nil || len(stored) > MaxAlertBytes
}

// identity salvages, for the answer, what names an alert that does not decode.
func identity(raw json.RawMessage) karo.AlertOccurrence {
	var in struct {
		Labels      map[string]string `json:"labels"`
		Fingerprint string            `json:"fingerprint"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return karo.AlertOccurrence{}
	}
	return karo.AlertOccurrence{Name: in.Labels[model.AlertNameLabel], Fingerprint: in.Fingerprint}
}

func alertError(path *field.Path, err error) error {
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		for child := range strings.SplitSeq(typeErr.Field, ".") {
			if child != "" {
				path = path.Child(child)
			}
		}
		// The library names the types of Go, which the sender does not know.
		want := "a string"
		if kind := typeErr.Type.Kind(); kind == reflect.Struct || kind == reflect.Map {
			want = "an object"
		}
		return field.TypeInvalid(path, typeErr.Value, "must be "+want)
	}
	return field.Invalid(path, field.OmitValueType{}, err.Error())
}

// instant reads a timestamp. The zero time, with which Alertmanager says that it does not know, is nil.
func instant(s string) (*nanotime.Time, error) {
	if s == "" {
		return nil, nil
	}
	t, err := nanotime.Parse(s)
	if err != nil || t.IsZero() {
		return nil, err
	}
	return &t, nil
}

// Fingerprint returns Alertmanager's hash of labels.
func Fingerprint(labels map[string]string) string {
	set := make(model.LabelSet, len(labels))
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set.Fingerprint().String()
}
