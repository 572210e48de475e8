package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

// rpcs are all that pods have for apps, staff and services.
func rpcs() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			if !strings.HasPrefix(string(file.Package()), "orderd.") || service.Name() == "PeerService" {
				continue
			}
			for j := range service.Methods().Len() {
				all = append(all, service.Methods().Get(j))
			}
		}
		return true
	})
	return all
}

// ask calls an RPC with a token and an empty message.
func (p *pod) ask(ctx context.Context, token string, m protoreflect.MethodDescriptor) error {
	// Streams take HTTP/2.
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := connect.NewClient(connecthttp.NewTransport(&http.Client{Transport: transport}, p.URL), issuer.Bearer(token))
	spec := connect.Spec{Schema: m, Procedure: "/" + string(m.Parent().FullName()) + "/" + string(m.Name())}
	answer := dynamicpb.NewMessage(m.Output())
	switch {
	case m.IsStreamingClient():
		spec.StreamType = connect.StreamTypeBidi
	case m.IsStreamingServer():
		spec.StreamType = connect.StreamTypeServer
	default:
		return client.CallUnary(ctx, spec, dynamicpb.NewMessage(m.Input()), answer)
	}
	stream, err := client.CallClientStream(ctx, spec)
	if err != nil {
		return err
	}
	err = errors.Join(stream.Send(dynamicpb.NewMessage(m.Input())), stream.CloseSend())
	if received := stream.Receive(answer); !errors.Is(received, io.EOF) {
		return received
	}
	return err
}

var _ = Describe("A role", func() {
	It("of admission that was stolen admits buyers and does nothing else", func(ctx context.Context) {
		w := newWorld()
		standard, flash := w.standard(), w.start(config.RoleFlash, w.Pod())
		flash.untilReady()
		stolen := w.Issuer.Token("page", "admission")
		public := []string{"orderd.flash.v1.FlashService.GetPromotion"}
		asked := 0
		for _, m := range rpcs() {
			p := standard
			if m.Parent().Name() == "FlashService" {
				p = flash
			}
			err := p.ask(ctx, stolen, m)
			switch {
			case m.FullName() == "orderd.flash.v1.FlashService.AdmitBuyers":
				Expect(err).To(failWith(connect.CodeInvalidArgument, "INVALID_REQUEST"), "%s", m.FullName())
			case auth.PolicyOf(m).Public:
				Expect(public).To(ContainElement(string(m.FullName())))
			default:
				Expect(err).To(failWith(connect.CodePermissionDenied, "ROLE_MISSING"), "%s", m.FullName())
				asked++
			}
		}
		Expect(asked).To(BeNumerically(">", 70))

		By("which is nobody else's to do")
		admit := &flashv1.AdmitBuyersRequest{
			Promotion: "sale", Admissions: []*flashv1.Admission{{BuyerId: "ann", Sku: "tea"}},
		}
		_, err := flash.with(stolen).flash.AdmitBuyers(ctx, admit)
		Expect(err).To(failWith(connect.CodeNotFound, "PROMOTION_NOT_FOUND"))
		_, err = flash.with(w.Issuer.Token("backend", "checkout")).flash.AdmitBuyers(ctx, admit)
		Expect(err).To(failWith(connect.CodePermissionDenied, "ROLE_MISSING"))
	})
})
