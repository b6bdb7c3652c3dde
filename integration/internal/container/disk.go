package container

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/testcontainers/testcontainers-go"
)

// dataDir is where the official image of Postgres 17 and older keeps the
// cluster (https://hub.docker.com/_/postgres, PGDATA).
const dataDir = "/var/lib/postgresql/data"

// Disk is a server's disk of a limited size, in memory. A container of its own
// keeps it while the server is down.
type Disk struct{ keeper *server }

// StartPostgresOnDisk is StartPostgres with all of the cluster on a disk of so
// many bytes.
func StartPostgresOnDisk(t testing.TB, bytes int64, settings map[string]string) (*Postgres, *Disk) {
	t.Helper()
	skipIfShort(t)
	p, err := startPostgres(t.Context(), superuser, settings,
		testcontainers.WithEnv(map[string]string{"POSTGRES_INITDB_ARGS": "--wal-segsize=1"}), // MB: small, as the disk
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.Mounts = append(host.Mounts, memoryDisk(bytes))
		}))
	if err != nil {
		t.Fatalf("this test needs a Postgres server in a container (or -short): %v", err)
	}
	t.Cleanup(func() { p.end(t, "Postgres") })
	d, err := p.keepDisk(t.Context())
	if err != nil {
		t.Fatalf("keep the disk of a server: %v", err)
	}
	t.Cleanup(func() { d.keeper.end(t, "disk") })
	return p, d
}

// memoryDisk is a volume of a limited size that goes with its container.
func memoryDisk(bytes int64) mount.Mount {
	return mount.Mount{Type: mount.TypeVolume, Target: dataDir, VolumeOptions: &mount.VolumeOptions{
		NoCopy:       true,
		DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": fmt.Sprintf("size=%d", bytes)}},
	}}
}

// keepDisk starts a container that does nothing but use the server's volumes:
// what is in memory is gone when nobody uses it.
func (p *Postgres) keepDisk(ctx context.Context) (*Disk, error) {
	image, err := p.engine.postgresImage(ctx)
	if err != nil {
		return nil, err
	}
	labels, err := ownLabels()
	if err != nil {
		return nil, err
	}
	made, err := testcontainers.Run(ctx, image,
		testcontainers.WithLabels(labels),
		testcontainers.WithEntrypoint("sleep", "infinity"),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.VolumesFrom = []string{p.container.GetContainerID()}
		}))
	if err != nil {
		return nil, errors.Join(err, testcontainers.TerminateContainer(made, testcontainers.StopTimeout(0)))
	}
	return &Disk{keeper: &server{engine: p.engine, container: made}}, nil
}

// ballast is the file that fills a disk.
const ballast = dataDir + "/ballast"

// Fill fills the disk to its last byte.
func (d *Disk) Fill(ctx context.Context) error {
	// dd fails when the disk is full, which is what is wanted.
	const fill = `dd if=/dev/zero of="$0" bs=4k conv=notrunc oflag=append 2>/dev/null; test "$(df --output=avail "$0" | tail -n 1)" -eq 0`
	_, err := d.keeper.Exec(ctx, "sh", "-c", fill, ballast)
	return err
}

// Free makes room again.
func (d *Disk) Free(ctx context.Context) error {
	_, err := d.keeper.Exec(ctx, "rm", ballast)
	return err
}
