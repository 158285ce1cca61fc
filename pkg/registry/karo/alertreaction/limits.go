// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

// showLimits has the actions that are written in v1 say the limits that their Jobs will get. These are not defaults of the
// version, which storage would fill in too: what v1alpha1 wrote without them has to read back without them. So an action
// that is as it is stored stays so, or whoever suspends a reaction would be changing it.
func showLimits(actions, stored []karo.Action) {
	for i := range actions {
		action := &actions[i]
		before := find(stored, func(s *karo.Action) bool { return s.Name == action.Name })
		switch {
		case before != nil && apiequality.Semantic.DeepEqual(action, before):
		case action.JobTemplate == nil:
			show(&action.BackoffLimit, jobs.DefaultBackoffLimit)
			show(&action.ActiveDeadlineSeconds, jobs.DefaultActiveDeadlineSeconds)
			show(&action.TTLSecondsAfterFinished, jobs.DefaultTTLSecondsAfterFinished)
		case before != nil && before.JobTemplate == nil:
			// A patch that puts a whole Job in the place of the action does not name what was filled in here.
			hide(&action.BackoffLimit, jobs.DefaultBackoffLimit)
			hide(&action.ActiveDeadlineSeconds, jobs.DefaultActiveDeadlineSeconds)
			hide(&action.TTLSecondsAfterFinished, jobs.DefaultTTLSecondsAfterFinished)
		}
	}
}

func show[T any](limit **T, byDefault T) {
	if *limit == nil {
		*limit = &byDefault
	}
}

func hide[T comparable](limit **T, byDefault T) {
	if *limit != nil && **limit == byDefault {
		*limit = nil
	}
}
