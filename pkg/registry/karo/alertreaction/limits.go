// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

// showLimits has the actions that are written in v1 say the limits that their Jobs will get. These are not defaults of the
// version, which storage would fill in too: what v1alpha1 wrote without them has to read back without them, also after
// somebody changed something else of the action in v1.
func showLimits(actions, stored []karo.Action) {
	for i := range actions {
		action := &actions[i]
		before := find(stored, func(s *karo.Action) bool { return s.Name == action.Name })
		switch {
		case action.JobTemplate == nil:
			known := before != nil && before.JobTemplate == nil
			show(&action.BackoffLimit, jobs.DefaultBackoffLimit, known && before.BackoffLimit == nil)
			show(&action.ActiveDeadlineSeconds, jobs.DefaultActiveDeadlineSeconds, known && before.ActiveDeadlineSeconds == nil)
			show(&action.TTLSecondsAfterFinished, jobs.DefaultTTLSecondsAfterFinished, known && before.TTLSecondsAfterFinished == nil)
		case before != nil && before.JobTemplate == nil:
			// A patch that puts a whole Job in the place of the action does not name what was filled in here.
			hide(&action.BackoffLimit, jobs.DefaultBackoffLimit)
			hide(&action.ActiveDeadlineSeconds, jobs.DefaultActiveDeadlineSeconds)
			hide(&action.TTLSecondsAfterFinished, jobs.DefaultTTLSecondsAfterFinished)
		}
	}
}

func show[T any](limit **T, byDefault T, wasHidden bool) {
	if *limit == nil && !wasHidden {
		*limit = &byDefault
	}
}

func hide[T comparable](limit **T, byDefault T) {
	if *limit != nil && **limit == byDefault {
		*limit = nil
	}
}
