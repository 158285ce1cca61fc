// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"karo.io/karo/pkg/embeddedetcd"
	"karo.io/karo/pkg/storeid"
)

// newSnapshotCommand returns the commands that save and restore the data of an embedded etcd.
func newSnapshotCommand() *cobra.Command {
	dir, prefix := defaultDataDir, etcdPrefix
	parent := &cobra.Command{
		Use:   "snapshot",
		Short: "Save or restore the data of the embedded etcd",
		Args:  cobra.NoArgs,
	}
	parent.PersistentFlags().StringVar(&dir, "data-dir", dir, "Directory of the embedded etcd.")
	save := &cobra.Command{
		Use:   "save FILE",
		Short: "Save a snapshot of the server that runs on --data-dir",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			status, err := embeddedetcd.Save(cmd.Context(), dir, args[0])
			if err != nil {
				return err
			}
			cmd.Printf("saved %s: revision %d, %d keys, %d bytes\n", args[0], status.Revision, status.TotalKey, status.TotalSize)
			return nil
		},
	}
	restore := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore a snapshot into --data-dir, which must have no data",
		Long: "Restore a snapshot into --data-dir, which must have no data.\n\n" +
			"A server that starts on it is paused, and says how to have it run.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := embeddedetcd.Restore(args[0], dir); err != nil {
				return err
			}
			if err := forget(cmd.Context(), dir, prefix); err != nil {
				return fmt.Errorf("restored %s into %s, but a server that starts on it pauses only if the snapshot is older than some seconds: %w", args[0], dir, err)
			}
			cmd.Printf("restored %s into %s; a server that starts on it is paused, and says how to have it run\n", args[0], dir)
			return nil
		},
	}
	restore.Flags().StringVar(&prefix, "etcd-prefix", prefix, "The --etcd-prefix of the server.")
	parent.AddCommand(save, restore)
	parent.SetOut(os.Stdout) // What is printed is no error.
	// The help of the server is that of its flags.
	plain := &cobra.Command{}
	parent.SetUsageFunc(plain.UsageFunc())
	parent.SetHelpFunc(plain.HelpFunc())
	for _, cmd := range []*cobra.Command{parent, save, restore} {
		cmd.SilenceUsage = true
	}
	return parent
}

// forget has every cluster find the restored data to be another store: a snapshot may be so young that nothing else tells
// it from what was lost.
func forget(ctx context.Context, dir, prefix string) error {
	const noQuota = -1
	etcd, err := embeddedetcd.Start(ctx, dir, noQuota)
	if err != nil {
		return err
	}
	defer etcd.Close()
	config := storagebackend.NewDefaultConfig(prefix, nil)
	config.Transport.ServerList = []string{etcd.Endpoint}
	return storeid.Forget(ctx, config)
}
