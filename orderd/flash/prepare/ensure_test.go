package prepare_test

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

func ensureBuckets(ctx context.Context, js jetstream.JetStream) error {
	_, err := prepare.EnsureBuckets(ctx, js, 1)
	return err
}
