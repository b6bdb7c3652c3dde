package container

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
)

// ImageVariable names the environment variable with the image of Postgres that
// the tests run.
const ImageVariable = "UNDERSTUDY_POSTGRES_IMAGE"

const (
	defaultImage = "postgres:17"
	// standIn is the image that hack/postgres-image.sh builds where the
	// official one cannot be had.
	standIn = "understudy-postgres:"
	// bouncerImage has Debian 12's PgBouncer.
	bouncerImage = standIn + "15"
)

// postgresImage is the image asked for, or its stand-in.
func (e *engine) postgresImage(ctx context.Context) (string, error) {
	wanted := cmp.Or(os.Getenv(ImageVariable), defaultImage)
	for _, image := range candidates(wanted) {
		if e.has(ctx, image) {
			return image, nil
		}
	}
	return "", fmt.Errorf("there is no image %s on this machine, nor one in its place: run hack/postgres-image.sh %[1]s, or make test, which does", wanted)
}

// candidates are an image and what may stand in for it.
func candidates(image string) []string {
	_, tag, _ := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":") // a host may have a port
	end := strings.IndexFunc(tag+".", func(r rune) bool { return r < '0' || r > '9' })
	if end == 0 {
		return []string{image}
	}
	return []string{image, standIn + tag[:end]}
}

func (e *engine) has(ctx context.Context, image string) bool {
	_, err := e.client.ImageInspect(ctx, image)
	return err == nil
}
