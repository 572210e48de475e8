package flash

import (
	"errors"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// answerFunc takes the answer to the i-th of the requests of a call, once. It must not block.
type answerFunc func(i int, response *flashv1.PlaceFlashOrderResponse, err error)

// refusalOf is an error as a stream says it.
func refusalOf(err error) *flashv1.FlashOrderRefusal {
	var refused *refusal.Refusal
	if errors.As(err, &refused) {
		return refused.Message()
	}
	reason := rpcerr.Reason(err)
	if reason == "" {
		err = rpcerr.Internal(err)
		reason = rpcerr.Reason(err)
	}
	message := &flashv1.FlashOrderRefusal{Code: connect.CodeOf(err).String(), Reason: reason, Metadata: rpcerr.Metadata(err)}
	var own *connect.Error
	if errors.As(err, &own) {
		message.Message = own.Message()
	}
	if after, ok := rpcerr.RetryAfter(err); ok {
		message.RetryDelayMs = after.Milliseconds()
	}
	return message
}

// errorOf is what a stream said as the error that a call by itself would end with.
func errorOf(message *flashv1.FlashOrderRefusal) error { return refusal.FromMessage(message) }

// refuseAll gives every one of the requests the same answer.
func refuseAll(count int, answer answerFunc, err error) {
	for i := range count {
		answer(i, nil, err)
	}
}
