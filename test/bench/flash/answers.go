package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/test/bench/internal/load"
)

// reasonOf a refused unary call, from its body in Connect's protocol; empty if it has none.
func reasonOf(body []byte) string {
	var refusal struct {
		Details []struct{ Type, Value string }
	}
	if json.Unmarshal(body, &refusal) != nil {
		return ""
	}
	for _, d := range refusal.Details {
		if d.Type != "google.rpc.ErrorInfo" {
			continue
		}
		raw, err := base64.RawStdEncoding.DecodeString(d.Value)
		var info errdetails.ErrorInfo
		if err == nil && proto.Unmarshal(raw, &info) == nil {
			return info.GetReason()
		}
	}
	return ""
}

func refusedWith(reason string, body []byte) bool { return reasonOf(body) == reason }

// refused is a check for answers that may be one refusal; any other is an error. The refusal is
// decoded once, and later compared as it is: the load is not to spend its time on that.
func refused(reason string) load.Check {
	var known atomic.Pointer[[]byte]
	return func(status int, body []byte) (bool, error) {
		if status == http.StatusOK {
			return true, nil
		}
		if same := known.Load(); same != nil && bytes.Equal(*same, body) {
			return false, nil
		}
		if !refusedWith(reason, body) {
			return false, fmt.Errorf("%d: %s", status, body)
		}
		kept := bytes.Clone(body)
		known.Store(&kept)
		return false, nil
	}
}

// overloaded is a check for answers that may be UNAVAILABLE/OVERLOADED, each with another delay.
func overloaded(status int, body []byte) (bool, error) {
	switch status {
	case http.StatusOK:
		return true, nil
	case http.StatusServiceUnavailable:
		return false, nil
	default:
		return false, fmt.Errorf("%d: %s", status, body)
	}
}
