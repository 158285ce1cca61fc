// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// wantJob is what the text of a manifest promises of the Job of one action.
type wantJob struct {
	image         string
	command, args []string
	env           map[string]string
	account       string
	volumes       []string // those of the manifest, by name
}

// seeds are the manifests that users bring along, each with an alert and with the Jobs that it makes.
var seeds = map[string]struct {
	namespace string
	reaction  string
	alert     v1.NotificationAlert
	jobs      map[string]wantJob
}{
	"karo-high-cpu-reaction.yaml": {
		namespace: "default", reaction: "high-cpu-reaction",
		alert: firing("HighCPUUsage", time.Now(), "instance", "server1.example.com", "severity", "critical"),
		jobs: map[string]wantJob{
			"collect-diagnostics": {
				image: "busybox:latest", command: []string{"sh", "-c"},
				args: []string{"echo 'Collecting diagnostics for high CPU on instance: $INSTANCE'"},
				env:  map[string]string{"INSTANCE": "server1.example.com", "ALERT_SEVERITY": "critical"},
			},
			"restart-service": {image: "kubectl:latest", command: []string{"kubectl", "rollout", "restart", "deployment/my-app"}},
		},
	},
	"karo-example-reaction.yaml": {
		namespace: "default", reaction: "example-reaction",
		alert: firing("AlertName", time.Now()),
		jobs: map[string]wantJob{
			"action-name": {
				image: "image:tag", command: []string{"cmd"}, args: []string{"arg1", "arg2"},
				// What reads like no part of the alert is literal.
				env: map[string]string{"VAR_NAME": "field.path"}, account: "action-service-account", volumes: []string{"config-volume", "storage-volume"},
			},
		},
	},
	"karo-database-backup-reaction.yaml": {
		namespace: "production", reaction: "database-backup-reaction",
		// The alert lacks the annotation: it is empty, and the action runs.
		alert: firing("DatabaseConnectionLoss", time.Now(), "instance", "db-1"),
		jobs: map[string]wantJob{
			"emergency-backup": {
				image: "postgres:13", command: []string{"pg_dump"}, args: []string{"-h", "backup-server", "-U", "backup-user", "production_db"},
				env: map[string]string{"ALERT_TIME": "", "AFFECTED_INSTANCE": "db-1"},
			},
		},
	},
	"karo-scale-up-reaction.yaml": {
		namespace: "default", reaction: "scale-up-reaction",
		alert: firing("HighMemoryUsage", time.Now()),
		jobs: map[string]wantJob{
			"scale-deployment": {image: "bitnami/kubectl:latest", command: []string{"kubectl"}, args: []string{"scale", "deployment/web-app", "--replicas=5"}},
			"notify-team": {
				image: "curlimages/curl:latest", command: []string{"curl"},
				args: []string{"-X", "POST", "https://hooks.slack.com/...", "-d", "Auto-scaled due to high memory"},
			},
		},
	},
	"karo-diagnostics-reaction.yaml": {
		namespace: "monitoring", reaction: "diagnostics-reaction",
		alert: firing("PodCrashLooping", time.Now(), "pod", "web-1", "namespace", "shop"),
		jobs: map[string]wantJob{
			"collect-logs": {
				image: "busybox:latest", command: []string{"sh", "-c"},
				// The shell expands these.
				args: []string{"kubectl logs $POD_NAME -n $NAMESPACE > /tmp/crash-logs-$(date +%s).log"},
				env:  map[string]string{"POD_NAME": "web-1", "NAMESPACE": "shop"},
			},
			"describe-pod": {
				image: "bitnami/kubectl:latest", command: []string{"kubectl", "describe", "pod"},
				// There is no shell, so the kubelet is told to put the values in.
				args: []string{"$(POD_NAME)", "-n", "$(NAMESPACE)"},
				env:  map[string]string{"POD_NAME": "web-1", "NAMESPACE": "shop"},
			},
		},
	},
	"karo-volume-example-reaction.yaml": {
		namespace: "default", reaction: "volume-example-reaction",
		alert: firing("DiskSpaceLow", time.Now(), "instance", "node-1"),
		jobs: map[string]wantJob{
			"cleanup-disk": {
				image: "alpine:latest", command: []string{"sh", "-c"},
				args:    []string{"source /config/cleanup.sh && cleanup_old_logs /host-logs /persistent-logs"},
				env:     map[string]string{"AFFECTED_NODE": "node-1", "THRESHOLD": ""},
				account: "cleanup-service-account",
				volumes: []string{"config-volume", "temp-storage", "persistent-logs", "host-logs", "secret-volume"},
			},
		},
	},
	"chart-high-cpu-reaction.yaml": {
		namespace: "default", reaction: "high-cpu-reaction",
		alert: firing("HighCPUUsage", time.Now(), "instance", "of the chart"),
		jobs: map[string]wantJob{
			"job": {
				image: "busybox:1.35", command: []string{"sh", "-c"},
				args: []string{"echo \"Investigating high CPU usage...\"\n# Add your remediation logic here\nkubectl top nodes\nkubectl top pods --all-namespaces --sort-by=cpu\n"},
			},
		},
	},
}

// Every AlertReaction of the READMEs applies as it is printed and, when its alert fires, makes the Jobs that its text
// promises.
func TestManifestsOfTheSeeds(t *testing.T) {
	files, err := filepath.Glob("testdata/seeds/*.yaml")
	if err != nil || len(files) != len(seeds) {
		t.Fatalf("%d manifests for %d cases: %v", len(files), len(seeds), err)
	}
	for _, namespace := range []string{"production", "monitoring"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if _, err := cluster.Client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cluster.Client.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{})
		})
	}
	admin := newHTTP(t, cluster.Config)
	for _, path := range files {
		file := filepath.Base(path)
		t.Run(file, func(t *testing.T) {
			seed, ok := seeds[file]
			if !ok {
				t.Fatal("nothing is expected of it")
			}
			manifest, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// Each by itself: two of them have the same name.
			expect(t, kubectl(t, "", "apply", "-f", path), "alertreaction.karo.io/"+seed.reaction+" created")
			t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "", "delete", "-f", path) })
			expect(t, kubectl(t, "", "apply", "-f", path), "alertreaction.karo.io/"+seed.reaction+" unchanged")
			for _, job := range seed.jobs {
				if job.account != "" {
					_, _ = cluster.Kubectl(t.Context(), "", "create", "serviceaccount", job.account, "-n", seed.namespace)
				}
			}
			reaction, made := runOnce(t, admin, seed.namespace, seed.reaction, seed.alert, len(seed.jobs))
			spec := specOf(t, manifest)
			for i := range made {
				action := made[i].Labels["karo/action-name"]
				want, ok := seed.jobs[action]
				if !ok {
					t.Fatalf("there is a job for the action %q", action)
				}
				if diff := cmp.Diff(want, jobAsPromised(&made[i], want.env), cmp.AllowUnexported(wantJob{})); diff != "" {
					t.Errorf("%s (-want +got):\n%s\n%s", action, diff, manifest)
				}
				if diff := cmp.Diff(podOf(t, seed.namespace, spec, action, want.volumes), storageOf(&made[i])); diff != "" {
					t.Errorf("%s (-want +got):\n%s\n%s", action, diff, manifest)
				}
				if labels := made[i].Labels; labels["karo/alert-name"] != reaction.Spec.AlertName || labels["karo/owner"] != seed.reaction {
					t.Errorf("%s has the labels %v", action, labels)
				}
			}
		})
	}
}

// Volumes of types that no seed has reach the Job of an action that mounts them as they are written.
func TestVolumes(t *testing.T) {
	namespace := newNamespace(t)
	manifest, err := os.ReadFile(filepath.Join("testdata", "volumes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, string(manifest), "apply", "-n", namespace, "-f", "-")
	_, made := runOnce(t, newSender(t, namespace), namespace, "volumes", firing("A", time.Now()), 1)
	want := podOf(t, namespace, specOf(t, manifest), "act", []string{"about-me", "all-in-one", "scratch"})
	if diff := cmp.Diff(want, storageOf(&made[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// runOnce fires an alert that runs a reaction, and returns the reaction and the Jobs of that run.
func runOnce(t *testing.T, s *sender, namespace, name string, alert v1.NotificationAlert, n int) (*v1.AlertReaction, []batchv1.Job) {
	t.Helper()
	reaction, err := client.KaroV1().AlertReactions(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	result := s.trigger(t, namespace, alert)
	expectCounts(t, result, 1, 0, 0, 0)
	execution := waitExecution(t, namespace, result.Alerts[0].Reactions[0].Execution, "to be there", func(*v1.Execution) bool { return true })
	if execution.Spec.Reaction.UID != reaction.UID {
		t.Fatalf("%+v ran, not the reaction %s", execution.Spec.Reaction, reaction.UID)
	}
	var made []batchv1.Job
	eventually(t, "the jobs to be made", func(ctx context.Context) error {
		var err error
		made, err = jobs(ctx, namespace)
		made = slices.DeleteFunc(made, func(job batchv1.Job) bool { return !metav1.IsControlledBy(&job, execution) })
		if err == nil && len(made) != n {
			err = fmt.Errorf("%d jobs of %d", len(made), n)
		}
		return err
	})
	return reaction, made
}

func specOf(t *testing.T, manifest []byte) *v1.AlertReactionSpec {
	t.Helper()
	reaction := &v1.AlertReaction{}
	if err := yaml.UnmarshalStrict(manifest, reaction); err != nil {
		t.Fatal(err)
	}
	return &reaction.Spec
}

// podOf returns how a manifest wants an action with some of its volumes to be restarted, and those volumes as they are
// mounted. What it leaves out is as the cluster completes it.
func podOf(t *testing.T, namespace string, spec *v1.AlertReactionSpec, action string, volumes []string) corev1.PodSpec {
	t.Helper()
	pod := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever}
	if spec.JobTemplate != nil {
		pod = spec.JobTemplate.Spec.Template.Spec
	}
	for i := range spec.Actions {
		if a := &spec.Actions[i]; a.Name == action {
			pod.Containers = []corev1.Container{{Name: "action", Image: a.Image, VolumeMounts: a.VolumeMounts}}
		}
	}
	for i := range spec.Volumes {
		if slices.Contains(volumes, spec.Volumes[i].Name) {
			pod.Volumes = append(pod.Volumes, spec.Volumes[i])
		}
	}
	job, err := cluster.Client.BatchV1().Jobs(namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "wanted-"}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: pod}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	return storageOf(job)
}

// storageOf returns the part of the pod of a Job that podOf is about.
func storageOf(job *batchv1.Job) corev1.PodSpec {
	pod := &job.Spec.Template.Spec
	return corev1.PodSpec{
		RestartPolicy: pod.RestartPolicy, Volumes: pod.Volumes, Containers: []corev1.Container{{VolumeMounts: pod.Containers[0].VolumeMounts}},
	}
}

// jobAsPromised returns what can be promised of a Job, with those of its variables that are.
func jobAsPromised(job *batchv1.Job, env map[string]string) wantJob {
	pod := &job.Spec.Template.Spec
	c := &pod.Containers[0]
	got := wantJob{image: c.Image, command: c.Command, args: c.Args, account: pod.ServiceAccountName}
	for _, v := range c.Env {
		if _, promised := env[v.Name]; promised || !strings.HasPrefix(v.Name, "KARO_") {
			if got.env == nil {
				got.env = map[string]string{}
			}
			got.env[v.Name] = v.Value
		}
	}
	for i := range pod.Volumes {
		got.volumes = append(got.volumes, pod.Volumes[i].Name)
	}
	return got
}

// The recipes of the documentation are valid, and none has to be told of an argument that an alert could turn into an
// option.
func TestRecipes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(cluster.Root, "artifacts", "example", "recipes", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no recipes: %v", err)
	}
	namespace := newNamespace(t)
	for _, path := range files {
		out := kubectl(t, "", "apply", "-n", namespace, "--dry-run=server", "-f", path)
		lines := slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool {
			// Nobody has made the ServiceAccounts.
			return !strings.HasPrefix(line, "Warning:") || strings.Contains(line, "ServiceAccount")
		})
		if len(lines) > 0 {
			t.Errorf("%s: %q", filepath.Base(path), lines)
		}
	}
}
