// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// What the program of an action is given is the text of the alert, whatever a kubelet would make of it: no label can have
// a secret put into it. No container runs here, so the kubelet's own expansion is applied to the Job that was stored.
func TestAlertTextReachesTheProgram(t *testing.T) {
	namespace := newNamespace(t)
	secret := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}}
	createReaction(t, namespace, &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec: v1.AlertReactionSpec{AlertName: "A", Actions: []v1.Action{{
			Name: "act", Image: "busybox",
			Command: []string{"notify", "$S"},
			Args:    []string{"--", "$VALUE", "${VALUE}", "a $VALUE", "$(S)", "$UNKNOWN", "$$"},
			Env: []v1.EnvVar{
				{Name: "S", ValueFrom: &v1.EnvVarSource{SecretKeyRef: secret.SecretKeyRef}},
				{Name: "VALUE", Value: "labels.value"},
				{Name: "ALL", ValueFrom: &v1.EnvVarSource{AlertRef: &v1.AlertFieldSelector{FieldPath: "."}}},
				{Name: "OWN", Value: "mine $(S)"},
			},
		}}},
	})
	s := newSender(t, namespace)
	for _, value := range []string{"$(S)", "$$(S)", "$$$(S)", "$S ${S}", "--all", "`id` $(id); rm -rf /", "$(KARO_ALERT)", "größe\n\x1b[31m"} {
		name := s.trigger(t, namespace, firing("A", time.Now(), "value", value)).Alerts[0].Reactions[0].Execution
		e := waitPhase(t, namespace, name, v1.PhaseSucceeded)
		job, err := cluster.Client.BatchV1().Jobs(namespace).Get(t.Context(), e.Status.Actions[0].JobName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		env, args := given(t, &job.Spec.Template.Spec.Containers[0], map[string]string{"S": "secret"})
		want := []string{"notify", "secret", "--", value, value, "a $VALUE", "secret", "$UNKNOWN", "$"}
		if diff := cmp.Diff(want, args); diff != "" {
			t.Errorf("%q: arguments (-want +got):\n%s", value, diff)
		}
		if env["VALUE"] != value || env["OWN"] != "mine secret" || env["KARO_ALERT_NAME"] != "A" || env["KARO_STATUS"] != "firing" ||
			env["KARO_REACTION"] != "r" || env["KARO_EXECUTION"] != name {
			t.Errorf("%q: the variables are %q", value, env)
		}
		for _, variable := range []string{"ALL", "KARO_ALERT"} {
			var alert v1.NotificationAlert
			if err := json.Unmarshal([]byte(env[variable]), &alert); err != nil || alert.Labels["value"] != value {
				t.Errorf("%q: %s is %q: %v", value, variable, env[variable], err)
			}
			if strings.Contains(env[variable], "secret") {
				t.Errorf("%q: the secret is in %s", value, variable)
			}
		}
	}
}

// given returns what a kubelet gives the program of a container.
func given(t *testing.T, container *corev1.Container, from map[string]string) (env map[string]string, args []string) {
	t.Helper()
	in, err := json.Marshal(map[string]any{"container": container, "from": from})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./expand")
	cmd.Dir = filepath.Join(cluster.Root, "hack", "tools")
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("expanding: %v %s", err, stderr.String())
	}
	var out struct {
		Env  map[string]string
		Args []string
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out.Env, out.Args
}
