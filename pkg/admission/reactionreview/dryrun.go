// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package reactionreview

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

const (
	// patience is how long the cluster may take to say what it thinks of the Jobs.
	patience = 5 * time.Second
	// concurrency bounds the Jobs that are tried at a time.
	concurrency = 8
)

var errNotInitialized = errors.New("the plugin " + PluginName + " needs an authorizer and a client of the cluster")

// NewClient returns a client that passes on, to the user of the request it serves, the warnings that the cluster gives.
func NewClient(config *rest.Config) (kubernetes.Interface, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandlerWithContext = passOn{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	return client, nil
}

type passOn struct{}

// about is the key, in a context, of the field of the reaction that the cluster is asked about.
type about struct{}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (passOn) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	if code == 299 {
		warn(ctx, ctx.Value(about{}), text)
	}
}

// warn tells the user of the request. A warning with a line break in it would not be told at all.
func warn(ctx context.Context, path any, text string) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	warning.AddWarning(ctx, "", fmt.Sprintf("%s: %s", path, text))
}

// tryJobs asks the cluster, without creating anything, whether it would take the Jobs of a reaction. What can never be a
// Job is refused; anything else that stands against it may be mended until an alert comes, and is a warning.
func (p *plugin) tryJobs(ctx context.Context, reaction *karo.AlertReaction) error {
	timeout, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	sample := sampleOf(reaction)
	var lock sync.Mutex
	var refused field.ErrorList
	accounts := map[string]string{} // the ServiceAccounts, with the first action that names each
	group := errgroup.Group{}
	group.SetLimit(concurrency)
	actions := jobs.Actions(&reaction.Spec)
	for i := range actions {
		path := pathOf(&reaction.Spec, i)
		job, err := jobs.Build(sample, &reaction.Spec, &actions[i])
		if err != nil {
			lock.Lock()
			refused = append(refused, field.Invalid(path, field.OmitValueType{}, err.Error()))
			lock.Unlock()
			continue
		}
		if account := job.Spec.Template.Spec.ServiceAccountName; account != "" && accounts[account] == "" {
			accounts[account] = path.String()
		}
		group.Go(func() error {
			_, err := p.client.BatchV1().Jobs(reaction.Namespace).Create(context.WithValue(timeout, about{}, path), job, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			lock.Lock()
			defer lock.Unlock()
			switch {
			case err == nil:
			case apierrors.IsInvalid(err):
				refused = append(refused, translate(err, job, &reaction.Spec, i)...)
			default:
				warn(ctx, path, fmt.Sprintf("the cluster would not take the Job now: %v", err))
			}
			return nil
		})
	}
	for account, path := range accounts {
		group.Go(func() error {
			_, err := p.client.CoreV1().ServiceAccounts(reaction.Namespace).Get(context.WithValue(timeout, about{}, path), account, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				warn(ctx, path, fmt.Sprintf("the ServiceAccount %q does not exist; the action waits until it does", account))
			}
			return nil
		})
	}
	_ = group.Wait() // Nothing of it is an error.
	if len(refused) > 0 {
		return apierrors.NewInvalid(karo.Kind("AlertReaction"), reaction.Name, refused)
	}
	return nil
}

// sampleOf returns an Execution as an alert would trigger it.
func sampleOf(reaction *karo.AlertReaction) *karo.Execution {
	return &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: reaction.Namespace, Name: "sample", UID: "00000000-0000-0000-0000-000000000000"},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: sampleName(reaction)},
			Alert: karo.AlertOccurrence{
				Name: reaction.Spec.AlertName, Status: karo.AlertFiring,
				Labels: map[string]string{model.AlertNameLabel: reaction.Spec.AlertName},
			},
		},
	}
}

// sampleName returns the name of a reaction, also of one that gets its name only when it is stored.
func sampleName(reaction *karo.AlertReaction) string {
	if reaction.Name == "" {
		return reaction.GenerateName + "sample"
	}
	return reaction.Name
}

func pathOf(spec *karo.AlertReactionSpec, action int) *field.Path {
	if spec.JobTemplate != nil {
		return field.NewPath("spec", "jobTemplate")
	}
	return field.NewPath("spec", "actions").Index(action)
}

var (
	ofContainer = regexp.MustCompile(`^spec\.template\.spec\.containers\[0\]\.(.+)$`)
	ofVolume    = regexp.MustCompile(`^spec\.template\.spec\.volumes\[(\d+)\](.*)$`)
	ofJob       = regexp.MustCompile(`^spec\.(backoffLimit|activeDeadlineSeconds)$`)
)

// translate says in the fields of the reaction what the cluster says in those of the Job.
func translate(err error, job *batchv1.Job, spec *karo.AlertReactionSpec, action int) field.ErrorList {
	path := pathOf(spec, action)
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, "the cluster refuses the Job: "+err.Error())}
	}
	var errs field.ErrorList
	for _, cause := range status.Status().Details.Causes {
		detail := "the cluster refuses the Job: " + cause.Message
		if at := fieldOf(cause.Field, job, spec, action); at != "" {
			path := field.NewPath(at)
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, detail))
			continue
		}
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, detail+" ("+cause.Field+")"))
	}
	return errs
}

// fieldOf returns the field of a reaction that a field of a Job comes from, or "" when it comes from none.
func fieldOf(name string, job *batchv1.Job, spec *karo.AlertReactionSpec, action int) string {
	path, actions := pathOf(spec, action).String(), jobs.Actions(spec)
	if template := actions[action].JobTemplate; template != nil {
		name = ownVariable(name, &job.Spec.Template.Spec, &template.Spec.Template.Spec)
		if spec.JobTemplate != nil {
			return path + "." + name
		}
		return path + ".jobTemplate." + name
	}
	name = ownVariable(name, &job.Spec.Template.Spec, &corev1.PodSpec{
		Containers: []corev1.Container{{Env: make([]corev1.EnvVar, len(actions[action].Env))}},
	})
	if m := ofContainer.FindStringSubmatch(name); m != nil {
		return path + "." + m[1]
	}
	if m := ofJob.FindStringSubmatch(name); m != nil {
		return path + "." + m[1]
	}
	if m := ofVolume.FindStringSubmatch(name); m != nil {
		index, _ := strconv.Atoi(m[1])
		for i := range spec.Volumes {
			if index < len(job.Spec.Template.Spec.Volumes) && spec.Volumes[i].Name == job.Spec.Template.Spec.Volumes[index].Name {
				return fmt.Sprintf("spec.volumes[%d]%s", i, m[2])
			}
		}
	}
	return ""
}

var ofVariable = regexp.MustCompile(`^(spec\.template\.spec\.(initContainers|containers)\[(\d+)\]\.env)\[(\d+)\](.*)$`)

// ownVariable counts the variables of a container as the reaction lists them: those of Karo come before.
func ownVariable(name string, built, given *corev1.PodSpec) string {
	m := ofVariable.FindStringSubmatch(name)
	if m == nil {
		return name
	}
	in, of := built.Containers, given.Containers
	if m[2] == "initContainers" {
		in, of = built.InitContainers, given.InitContainers
	}
	container, _ := strconv.Atoi(m[3])
	index, _ := strconv.Atoi(m[4])
	if container >= len(in) || container >= len(of) {
		return name
	}
	return fmt.Sprintf("%s[%d]%s", m[1], index-(len(in[container].Env)-len(of[container].Env)), m[5])
}
