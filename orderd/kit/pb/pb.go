// Package pb makes protobuf's well-known types of Go's.
package pb

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Time is a time that may be missing: nil stays nil.
func Time(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}
