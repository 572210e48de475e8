package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/batch"
)

// disk is the least that a durable answer can be: its request is on disk before it is given, with
// whichever came while the disk was busy. It knows no stock, no limits and no retries, and no other
// process has part in it. What it reaches of the handler that does nothing is what waiting for
// anything costs on this machine, behind this server.
type disk struct {
	flashv1connect.UnimplementedFlashServiceHandler

	log *batch.Batcher[[]byte, struct{}]
}

func newDisk(ctx context.Context, path string) (*disk, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("creating the log: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = file.Close() })
	options := batch.Options{Limit: laneQueue, Size: lanePipeline, Parallel: 1, Timeout: time.Minute}
	return &disk{log: batch.New(options, func(_ context.Context, requests [][]byte) ([]batch.Result[struct{}], error) {
		var all []byte
		for _, r := range requests {
			all = append(all, r...)
		}
		if _, err := file.Write(all); err != nil {
			return nil, err
		}
		return make([]batch.Result[struct{}], len(requests)), file.Sync()
	})}, nil
}

// PlaceFlashOrder implements FlashService.
func (d *disk) PlaceFlashOrder(
	ctx context.Context, request *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	raw, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	if _, err := d.log.Do(ctx, raw); err != nil {
		return nil, err
	}
	return accepted(id), nil
}
