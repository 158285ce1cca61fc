// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package names derives the names of the objects that Karo creates. A name that follows from what it stands for is
// what makes every step safe to repeat: a retry, a restarted process and another replica all arrive at the same
// object, and storage arbitrates who was first.
package names

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
)

const (
	// digestLength is the length of the part of a name that is a hash: 130 bits in base32.
	digestLength = 26
	// prefixLength is what is left for the readable part, so that name, dash and hash fit a label value.
	prefixLength = 36
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Occurrence identifies one run of a reaction for one occurrence of an alert.
type Occurrence struct {
	ReactionUID types.UID
	Labels      map[string]string
	Status      karo.AlertStatus
	// StartsAt is nil when the sender did not say.
	StartsAt *nanotime.Time
	// Follows stands in for StartsAt when that is nil; nil when no run came before.
	Follows *nanotime.Time
	// SkipReason sets a run that is skipped apart from the real one, so that it does not stand in its way.
	SkipReason string
}

// OccurrenceOf returns what identifies an Execution that an alert triggered.
func OccurrenceOf(e *karo.Execution) Occurrence {
	o := Occurrence{
		ReactionUID: e.Spec.Reaction.UID,
		Labels:      e.Spec.Alert.Labels,
		Status:      e.Spec.Alert.Status,
		StartsAt:    e.Spec.Alert.StartsAt,
		Follows:     e.Spec.Follows,
	}
	if e.Status.Phase == karo.PhaseSkipped {
		o.SkipReason = e.Status.Reason
	}
	return o
}

// Execution returns the name of the Execution for an occurrence: at most 63 characters.
func Execution(reaction string, o Occurrence) string {
	h := sha256.New()
	write(h, string(o.ReactionUID))
	writeLabels(h, o.Labels)
	if o.StartsAt != nil {
		write(h, o.StartsAt.String())
	} else {
		// The marker keeps an alert without startsAt apart from one that says the same instant.
		var follows nanotime.Time
		if o.Follows != nil {
			follows = *o.Follows
		}
		write(h, "follows")
		write(h, follows.String())
	}
	write(h, string(o.Status))
	write(h, o.SkipReason)
	return join(reaction, h)
}

var reserved = regexp.MustCompile(`^[a-z0-9.-]{1,` + strconv.Itoa(prefixLength) + `}-[a-z2-7]{` + strconv.Itoa(digestLength) + `}$`)

// IsReserved reports whether a name has the shape of those that Execution returns. One that a client chose could stand
// in the way of a run.
func IsReserved(name string) bool { return reserved.MatchString(name) }

// GenerateName returns the prefix of the names of Executions by hand.
func GenerateName(reaction string) string { return cut(reaction, prefixLength) + "-" }

// Alert returns the name of the Alert that remembers a label set.
func Alert(alertName string, labels map[string]string) string {
	h := sha256.New()
	writeLabels(h, labels)
	return join(subdomain(alertName), h)
}

// Revision returns the name of the ReactionRevision of a reaction at a generation.
func Revision(reaction string, uid types.UID, generation int64) string {
	h := sha256.New()
	write(h, string(uid))
	_ = binary.Write(h, binary.BigEndian, generation)
	return join(reaction, h)
}

// Job returns the name of the Job for an action of an Execution: at most 63 characters. The UID of the Execution is
// part of it, so that one that is deleted and created again never meets the Jobs of the first.
func Job(e *karo.Execution, action string) string {
	h := sha256.New()
	write(h, string(e.UID))
	write(h, action)
	action = subdomain(action) // An action that was written in v1alpha1 may have any name.
	reaction := cut(e.Spec.Reaction.Name, max(prefixLength-1-len(action), prefixLength/2))
	return join(reaction+"-"+action, h)
}

// write adds a text with its length in front, so that no two sequences of texts hash alike.
func write(h hash.Hash, s string) {
	_ = binary.Write(h, binary.BigEndian, uint64(len(s)))
	h.Write([]byte(s))
}

func writeLabels(h hash.Hash, labels map[string]string) {
	_ = binary.Write(h, binary.BigEndian, uint64(len(labels)))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		write(h, name)
		write(h, labels[name])
	}
}

func join(prefix string, h hash.Hash) string {
	digest := strings.ToLower(encoding.EncodeToString(h.Sum(nil)))[:digestLength]
	return cut(prefix, prefixLength) + "-" + digest
}

// cut shortens what becomes the beginning of a name, with a dash behind it. A cut may leave a dot or a dash at the
// end, and a dot before a dash is no valid name.
func cut(s string, length int) string {
	return strings.TrimRight(s[:min(len(s), length)], ".-")
}

var notSubdomain = regexp.MustCompile(`[^a-z0-9.-]+|\.+-*|-+\.+`)

// subdomain turns any text into the beginning of an object name.
func subdomain(s string) string {
	s = strings.Trim(notSubdomain.ReplaceAllString(strings.ToLower(s), "-"), "-.")
	if s == "" {
		return "alert"
	}
	return s
}

var notLabelValue = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// LabelValue turns any text into a value that a label of an object may have, and back into itself if it is one.
func LabelValue(s string) string {
	s = notLabelValue.ReplaceAllString(s, "-")
	return strings.Trim(s[:min(len(s), 63)], "-_.")
}
