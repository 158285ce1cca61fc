// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command image writes an archive of an OCI image with nothing in it but karo-apiserver, for one or more platforms, without
// a daemon.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ref "github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// uid is the user and the group that the program runs as, that of the images known as nonroot.
const uid = 65532

func main() {
	out := flag.String("out", "", "file to write")
	name := flag.String("name", "", "name and tag of the image")
	version := flag.String("version", "", "version of Karo")
	revision := flag.String("revision", "", "commit that it is built from")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: image -out FILE -name NAME:TAG OS/ARCH=PROGRAM ...\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	labels := map[string]string{
		"org.opencontainers.image.title":       "Karo",
		"org.opencontainers.image.description": "Turns Prometheus alerts into Jobs",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     *version,
		"org.opencontainers.image.revision":    *revision,
	}
	if err := run(*out, *name, labels, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(out, name string, labels map[string]string, programs []string) (err error) {
	if out == "" || name == "" || len(programs) == 0 {
		return errors.New("-out, -name and a program are needed; see -help")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, program := range programs {
		platform, path, ok := strings.Cut(program, "=")
		goos, arch, ok2 := strings.Cut(platform, "/")
		if !ok || !ok2 {
			return fmt.Errorf("%s is not OS/ARCH=PROGRAM", program)
		}
		image, err := build(path, &v1.Platform{OS: goos, Architecture: arch}, labels)
		if err != nil {
			return fmt.Errorf("image for %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: goos, Architecture: arch}},
		})
	}
	dir, err := os.MkdirTemp("", "karo-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	tag, err := ref.NewTag(name, ref.StrictValidation)
	if err != nil {
		return err
	}
	// The first name is for those who copy archives, the second for containerd, where the kubelet looks for the whole name.
	annotations := map[string]string{"org.opencontainers.image.ref.name": tag.TagStr(), "io.containerd.image.name": tag.Name()}
	if err := path.AppendIndex(index, layout.WithAnnotations(annotations)); err != nil {
		return err
	}
	return archive(dir, out)
}

// build returns the image of a program.
func build(program string, platform *v1.Platform, labels map[string]string) (v1.Image, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	// No time is written, so that the same program makes the same image. The directory is the default of --data-dir.
	for _, dir := range []tar.Header{{Name: "var/", Mode: 0o755}, {Name: "var/lib/", Mode: 0o755}, {Name: "var/lib/karo/", Mode: 0o700, Uid: uid, Gid: uid}} {
		dir.Typeflag = tar.TypeDir
		if err := w.WriteHeader(&dir); err != nil {
			return nil, err
		}
	}
	header := &tar.Header{Name: "karo-apiserver", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Config = v1.Config{User: fmt.Sprintf("%d:%d", uid, uid), Entrypoint: []string{"/karo-apiserver"}, Labels: labels}
	return mutate.ConfigFile(image, config)
}

// archive writes what is in a directory to a tar file.
func archive(dir, out string) (err error) {
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := tar.NewWriter(file)
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	return errors.Join(err, w.Close())
}
