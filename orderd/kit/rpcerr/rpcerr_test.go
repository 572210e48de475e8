package rpcerr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestDetails(t *testing.T) {
	type facts struct {
		Code       connect.Code
		Message    string
		Reason     string
		Metadata   map[string]string
		RetryAfter time.Duration
		Retry      bool
	}
	driver := errors.New("pq: secret detail")
	tests := []struct {
		name string
		err  error
		want facts
	}{
		{
			name: "reason and metadata",
			err:  rpcerr.New(connect.CodeNotFound, "SKU_NOT_FOUND", "no such SKU", "sku", "A-1"),
			want: facts{
				Code:     connect.CodeNotFound,
				Message:  "no such SKU",
				Reason:   "SKU_NOT_FOUND",
				Metadata: map[string]string{"sku": "A-1"},
			},
		},
		{
			name: "with a delay, and wrapped",
			err:  fmt.Errorf("placing: %w", rpcerr.Retry(connect.CodeUnavailable, "OVERLOADED", "full", time.Second)),
			want: facts{
				Code:       connect.CodeUnavailable,
				Message:    "full",
				Reason:     "OVERLOADED",
				RetryAfter: time.Second,
				Retry:      true,
			},
		},
		{
			name: "a driver's message stays inside",
			err:  rpcerr.Internal(driver),
			want: facts{Code: connect.CodeInternal, Message: "internal error", Reason: "INTERNAL"},
		},
		{
			name: "a reason for somebody else's error",
			err:  rpcerr.WithReason(connect.NewError(connect.CodeInvalidArgument, "bad"), "INVALID_REQUEST"),
			want: facts{Code: connect.CodeInvalidArgument, Message: "bad", Reason: "INVALID_REQUEST"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cerr *connect.Error
			if !errors.As(tt.err, &cerr) {
				t.Fatalf("%v is no connect error", tt.err)
			}
			got := facts{
				Code:     cerr.Code(),
				Message:  cerr.Message(),
				Reason:   rpcerr.Reason(tt.err),
				Metadata: rpcerr.Metadata(tt.err),
			}
			got.RetryAfter, got.Retry = rpcerr.RetryAfter(tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("details (-want +got):\n%s", diff)
			}
		})
	}
	if !errors.Is(rpcerr.Internal(driver), driver) {
		t.Error("the cause of an internal error is lost to the log")
	}
}

func TestAKeptErrorIsTheSame(t *testing.T) {
	err := rpcerr.Retry(connect.CodeUnavailable, "BUSY", "busy", time.Second, "sku", "a")
	kept := rpcerr.Kept(err)
	if kept.Code() != err.Code() || kept.Message() != err.Message() || rpcerr.Reason(kept) != "BUSY" {
		t.Errorf("kept %v, want %v", kept, err)
	}
	if diff := cmp.Diff(rpcerr.Metadata(err), rpcerr.Metadata(kept)); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if after, ok := rpcerr.RetryAfter(kept); !ok || after != time.Second {
		t.Errorf("retry after %s, %t; want a second", after, ok)
	}
	for _, d := range kept.Details() {
		if !json.Valid(d.Debug) {
			t.Errorf("detail %s has no JSON: %s", d.Type, d.Debug)
		}
	}
}
