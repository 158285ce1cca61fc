// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// kubernetesVersion is that of the control plane; hack/tools/go.mod pins it.
const kubernetesVersion = "v1.36.3"

// tool is a program of the cluster, with the package that it is built from.
type tool struct{ name, pkg string }

// module is a directory below hack/tools that has a go.mod, and the programs that are built from it.
type module struct {
	dir, cost string
	tools     []tool
}

var controlPlane = module{cost: "the control plane, once: all of it takes about 10 minutes on 2 cores", tools: []tool{
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
	{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
	{"kwok", "sigs.k8s.io/kwok/cmd/kwok"},
	{"alertmanager", "github.com/prometheus/alertmanager/cmd/alertmanager"},
}}

// helm has a module of its own: it needs other versions of what the control plane is made of.
var helm = module{dir: "helm", cost: "Helm, once", tools: []tool{{"helm", "helm.sh/helm/v3/cmd/helm"}}}

// assets returns the path of every program of a module. A program that $KUBEBUILDER_ASSETS holds is taken from there. The
// others are built, once for each content of the go.mod, into the user's cache.
func assets(ctx context.Context, root string, m module, log io.Writer) (map[string]string, error) {
	dir := filepath.Join(root, "hack", "tools", m.dir)
	cache, err := cacheDir(dir)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, cache+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	paths := map[string]string{}
	if given := os.Getenv("KUBEBUILDER_ASSETS"); given != "" {
		for _, tool := range m.tools {
			if path := filepath.Join(given, tool.name); isFile(path) {
				paths[tool.name] = path
			}
		}
		if len(paths) == 0 && m.dir == "" {
			fmt.Fprintf(log, "warning: $KUBEBUILDER_ASSETS is %s, which holds none of the programs of the control plane\n", given)
		}
	}
	var missing []tool
	for _, tool := range m.tools {
		if paths[tool.name] != "" {
			continue
		}
		paths[tool.name] = filepath.Join(cache, tool.name)
		if !isFile(paths[tool.name]) {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintln(log, "compiling", m.cost)
	}
	for i, tool := range missing {
		what := fmt.Sprintf("%d of %d: %s", i+1, len(missing), tool.name)
		ldflags := "-s -w -X k8s.io/component-base/version.gitVersion=" + kubernetesVersion
		if err := build(ctx, what, dir, tool.pkg, paths[tool.name], ldflags, log); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// build compiles a package. The result appears at once and whole, and says meanwhile what is coming.
func build(ctx context.Context, what, dir, pkg, out, ldflags string, log io.Writer) error {
	start := time.Now()
	done := make(chan struct{})
	defer close(done)
	go func() {
		ticker := time.NewTicker(15 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				fmt.Fprintf(log, "  still building %s (%s)\n", what, time.Since(start).Round(time.Second))
			}
		}
	}()
	fmt.Fprintf(log, "building %s\n", what)
	partial := out + ".partial"
	cmd := exec.CommandContext(ctx, "go", "build", "-o", partial, "-ldflags", ldflags, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, output.String())
	}
	if err := os.Rename(partial, out); err != nil {
		return err
	}
	fmt.Fprintf(log, "built %s in %s\n", what, time.Since(start).Round(time.Second))
	return nil
}

// cacheDir returns the directory that the programs of a module are built into.
func cacheDir(module string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache of the control plane: %w", err)
	}
	h := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(module, file))
		if err != nil {
			return "", err
		}
		h.Write(content)
	}
	key := hex.EncodeToString(h.Sum(nil))[:16]
	dir := filepath.Join(base, "karo", filepath.Base(module)+"-"+runtime.GOOS+"-"+runtime.GOARCH+"-"+key)
	return dir, os.MkdirAll(dir, 0o755)
}

// lock keeps two processes from building the same program.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		err := tryLock(file)
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("waiting for another process to build the control plane, locking %s: %w", path, err)
		case <-ticker.C:
		}
	}
	return func() { file.Close() }, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Root returns the directory of the repository.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding the repository: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	if !isFile(filepath.Join(root, "hack", "tools", "go.mod")) {
		return "", fmt.Errorf("%s is not the repository of Karo", root)
	}
	return root, nil
}
