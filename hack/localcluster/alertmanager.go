// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Alertmanager is a real Alertmanager that runs.
type Alertmanager struct {
	cluster *Cluster
	name    string
	port    int
	process *Process
}

// Alert is an alert as Prometheus sends it to Alertmanager.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"startsAt,omitzero"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

// AlertmanagerConfig returns a configuration whose one receiver posts to a path of the kube-apiserver with the token
// in a file.
func (c *Cluster) AlertmanagerConfig(path, tokenFile string, groupInterval, repeatInterval time.Duration) string {
	return fmt.Sprintf(`route:
  receiver: karo
  group_by: [alertname]
  group_wait: 100ms
  group_interval: %[1]s
  repeat_interval: %[6]s
receivers:
  - name: karo
    webhook_configs:
      - url: %[2]s%[3]s
        send_resolved: true
        max_alerts: 0
        http_config:
          follow_redirects: false
          authorization:
            credentials_file: %[4]s
          tls_config:
            ca_file: %[5]s
`, groupInterval, c.URL(), path, tokenFile, c.CAFile, repeatInterval)
}

// WriteToken writes a token of a ServiceAccount, which it creates if need be, to a file.
func (c *Cluster) WriteToken(ctx context.Context, namespace, account string) (string, error) {
	token, err := c.Token(ctx, namespace, account)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, namespace+"-"+account+".token")
	return path, os.WriteFile(path, []byte(token), 0o600)
}

// StartAlertmanager starts an Alertmanager of its own name and returns once it is ready.
func (c *Cluster) StartAlertmanager(ctx context.Context, name, config string) (*Alertmanager, error) {
	a := &Alertmanager{cluster: c, name: name}
	var err error
	if a.port, err = freePort(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(a.dir(), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(a.dir(), "alertmanager.yml"), []byte(config), 0o644); err != nil {
		return nil, err
	}
	return a, a.Start(ctx)
}

// Start starts the Alertmanager, again after it was stopped, and returns once it is ready.
func (a *Alertmanager) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := a.cluster.restart(&a.process, a.name, "alertmanager",
		"--config.file="+filepath.Join(a.dir(), "alertmanager.yml"), "--storage.path="+a.dir(),
		"--web.listen-address="+loopback(a.port), "--cluster.listen-address="); err != nil {
		return err
	}
	return a.process.await(ctx, func(ctx context.Context) error { return answers(ctx, http.DefaultClient, a.URL()+"/-/ready") })
}

func (a *Alertmanager) dir() string { return filepath.Join(a.cluster.Dir, a.name+".data") }

// Process returns the program as it runs now.
func (a *Alertmanager) Process() *Process { return a.process }

// URL returns the address of the Alertmanager.
func (a *Alertmanager) URL() string { return "http://" + loopback(a.port) }

// Send hands alerts to the Alertmanager, as Prometheus does.
func (a *Alertmanager) Send(ctx context.Context, alerts ...Alert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL()+"/api/v2/alerts", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("sending alerts: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("sending alerts: alertmanager answers %s", resp.Status)
	}
	return nil
}
