// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package matching

import (
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/panics"
)

const (
	byLabel          = "label"
	inClusterByLabel = "inClusterByLabel"
)

// Indexers are the indexes that an Index needs on the informer of the reactions.
func Indexers() cache.Indexers {
	return cache.Indexers{
		cache.NamespaceIndex: cache.MetaNamespaceIndexFunc,
		byLabel: func(obj any) ([]string, error) {
			reaction := obj.(*karo.AlertReaction)
			return []string{reaction.Namespace + "/" + neededLabel(&reaction.Spec)}, nil
		},
		inClusterByLabel: func(obj any) ([]string, error) {
			return []string{neededLabel(&obj.(*karo.AlertReaction).Spec)}, nil
		},
	}
}

// neededLabel returns a label that every alert has which a reaction answers, or anyLabel when none is known: the name of
// the alert, if possible, which tells most apart.
func neededLabel(spec *karo.AlertReactionSpec) string {
	if spec.AlertName != "" {
		return labelKey(alertNameLabel, spec.AlertName)
	}
	needed := anyLabel
	for _, m := range spec.Matchers {
		if (m.Operator != karo.MatchEqual && m.Operator != "") || m.Value == "" || strings.HasPrefix(m.Name, annotationPrefix) {
			continue
		}
		if m.Name == alertNameLabel {
			return labelKey(m.Name, m.Value)
		}
		if needed == anyLabel {
			needed = labelKey(m.Name, m.Value)
		}
	}
	return needed
}

// anyLabel is the key of the reactions of which it is not known what label they need.
const anyLabel = ""

// labelKey returns the key of a label. A byte that is in no valid UTF-8 separates the two.
func labelKey(name, value string) string { return name + "\xff" + value }

// Index finds the reactions that answer an alert without asking all of them.
type Index struct {
	reactions cache.Indexer
	compiled  sync.Map // of types.UID to *compiledRules
}

type compiledRules struct {
	generation int64
	rules      *Rules
}

// NewIndex returns an Index over an informer that has Indexers.
func NewIndex(informer cache.SharedIndexInformer) (*Index, error) {
	index := &Index{reactions: informer.GetIndexer()}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		DeleteFunc: panics.Handler("matching", func(obj any) {
			if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			if reaction, ok := obj.(*karo.AlertReaction); ok {
				index.compiled.Delete(reaction.UID)
			}
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("watching reactions: %w", err)
	}
	return index, nil
}

// WithinScope reports whether a reaction may answer an alert that was sent to a namespace, or, if that is "", to the
// whole cluster: then it is for the label of the alert to say whose it is.
func WithinScope(namespace string, alert *karo.AlertOccurrence, reaction *karo.AlertReaction) bool {
	return namespace != "" || reaction.Spec.AlertScope == karo.ScopeCluster || alert.Labels["namespace"] == reaction.Namespace
}

// Match returns the reactions of a namespace, or of all namespaces if it is "", that answer an alert, and how many more
// match one that is not within their scope. The reactions are shared and must not be changed.
func (x *Index) Match(namespace string, alert *karo.AlertOccurrence) (matched []*karo.AlertReaction, withheld int) {
	consider := func(key string) {
		for _, reaction := range x.candidates(namespace, key) {
			rules := x.Rules(reaction)
			if reaction.DeletionTimestamp != nil || rules == nil || !rules.Match(alert) {
				continue
			}
			if WithinScope(namespace, alert, reaction) {
				matched = append(matched, reaction)
			} else {
				withheld++
			}
		}
	}
	for name, value := range alert.Labels {
		consider(labelKey(name, value))
	}
	consider(anyLabel)
	return matched, withheld
}

// Still returns a reaction that matched an alert as it is now, or nil when it does not match, or is not, any more.
func (x *Index) Still(namespace string, alert *karo.AlertOccurrence, matched *karo.AlertReaction) *karo.AlertReaction {
	reaction := x.Reaction(matched.Namespace, matched.Name)
	if reaction == nil || reaction.UID != matched.UID || reaction.DeletionTimestamp != nil || karo.Undecodable(reaction) != "" {
		return nil
	}
	if reaction.Generation != matched.Generation {
		if rules := x.Rules(reaction); rules == nil || !rules.Match(alert) || !WithinScope(namespace, alert, reaction) {
			return nil
		}
	}
	return reaction
}

// All returns the reactions of a namespace, or of all namespaces if it is "".
func (x *Index) All(namespace string) []*karo.AlertReaction {
	if namespace == "" {
		return typed(x.reactions.List())
	}
	objs, err := x.reactions.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil // Only an index that does not exist is an error.
	}
	return typed(objs)
}

// candidates returns the reactions that need a label, by its key.
func (x *Index) candidates(namespace, label string) []*karo.AlertReaction {
	index, key := byLabel, namespace+"/"+label
	if namespace == "" {
		index, key = inClusterByLabel, label
	}
	objs, err := x.reactions.ByIndex(index, key)
	if err != nil {
		return nil // Only an index that does not exist is an error.
	}
	return typed(objs)
}

// Rules returns the compiled conditions of a reaction, or nil for a stored one that no longer compiles, or cannot be read:
// it harms no other.
func (x *Index) Rules(reaction *karo.AlertReaction) *Rules {
	if karo.Undecodable(reaction) != "" {
		return nil
	}
	if c, ok := x.compiled.Load(reaction.UID); ok && c.(*compiledRules).generation == reaction.Generation {
		return c.(*compiledRules).rules
	}
	var rules *Rules
	_ = panics.Catch("matching", func() error {
		rules, _ = Compile(&reaction.Spec, field.NewPath("spec"))
		return nil
	})
	x.compiled.Store(reaction.UID, &compiledRules{generation: reaction.Generation, rules: rules})
	return rules
}

// Reaction returns a reaction by name, or nil.
func (x *Index) Reaction(namespace, name string) *karo.AlertReaction {
	obj, exists, err := x.reactions.GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return nil
	}
	return obj.(*karo.AlertReaction)
}

// Exists reports whether the reaction with this name still is the one with this UID and is not being deleted.
func (x *Index) Exists(namespace, name string, uid types.UID) bool {
	reaction := x.Reaction(namespace, name)
	return reaction != nil && reaction.UID == uid && reaction.DeletionTimestamp == nil
}

func typed(objs []any) []*karo.AlertReaction {
	reactions := make([]*karo.AlertReaction, 0, len(objs))
	for _, obj := range objs {
		reactions = append(reactions, obj.(*karo.AlertReaction))
	}
	return reactions
}
