package quote_test

import (
	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// EqualProto matches the same message.
func EqualProto(want proto.Message) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(got proto.Message) (bool, error) {
		return cmp.Equal(want, got, protocmp.Transform()), nil
	}).WithTemplate("Expected\n{{.FormattedActual}}\n{{.To}} be\n{{format .Data 1}}", want)
}
