package plog_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/plog"
)

func TestIsWrongSequence(t *testing.T) {
	code := func(c jetstream.ErrorCode) error { return &jetstream.APIError{ErrorCode: c} }
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"another sequence is the last", code(jetstream.JSErrCodeStreamWrongLastSequence), true},
		{"another sequence, which is not told", code(jetstream.JSErrCodeStreamWrongLastSequenceConstant), true},
		{"wrapped", fmt.Errorf("writing: %w", code(jetstream.JSErrCodeStreamWrongLastSequence)), true},
		{"a key that is there", jetstream.ErrKeyExists, true},
		{"another code", code(jetstream.JSErrCodeStreamNotFound), false},
		{"an error of the client", jetstream.ErrInvalidStreamName, false},
		{"an error of the network", errors.New("no responders"), false},
		{"none", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := plog.IsWrongSequence(test.err); got != test.want {
				t.Errorf("IsWrongSequence(%v) = %t, want %t", test.err, got, test.want)
			}
		})
	}
}
