package operator_test

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	externalscaler "github.com/orderd-dev/orderd/api/gen/externalscaler"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/run"
	"github.com/orderd-dev/orderd/operator/scaler"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

// keda asks as KEDA does, by gRPC's own client, for a ScaledObject in a namespace.
type keda struct {
	*grpc.ClientConn
	namespace string
}

func newKEDA(address, namespace string, transport credentials.TransportCredentials) *keda {
	GinkgoHelper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	return &keda{conn, namespace}
}

func (k *keda) ref(metadata map[string]string) *externalscaler.ScaledObjectRef {
	return &externalscaler.ScaledObjectRef{Name: "shop-cache", Namespace: k.namespace, ScalerMetadata: metadata}
}

// ask calls an RPC of the scaler.
func (k *keda) ask(ctx context.Context, rpc string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return k.Invoke(ctx, "/externalscaler.ExternalScaler/"+rpc, in, out, grpc.WaitForReady(true))
}

func (k *keda) active(ctx context.Context, metadata map[string]string) (bool, error) {
	var out externalscaler.IsActiveResponse
	err := k.ask(ctx, "IsActive", k.ref(metadata), &out)
	return out.GetResult(), err
}

// metric is its value, and how much of it a replica takes.
func (k *keda) metric(ctx context.Context, metadata map[string]string) (value, target float64) {
	GinkgoHelper()
	var spec externalscaler.GetMetricSpecResponse
	Expect(k.ask(ctx, "GetMetricSpec", k.ref(metadata), &spec)).To(Succeed())
	Expect(spec.GetMetricSpecs()).To(HaveLen(1))
	one := spec.GetMetricSpecs()[0]
	Expect(one.GetTargetSizeFloat()).To(BeEquivalentTo(one.GetTargetSize()))
	var out externalscaler.GetMetricsResponse
	Expect(k.ask(ctx, "GetMetrics", &externalscaler.GetMetricsRequest{
		ScaledObjectRef: k.ref(metadata), MetricName: one.GetMetricName(),
	}, &out)).To(Succeed())
	Expect(out.GetMetricValues()).To(HaveLen(1))
	Expect(out.GetMetricValues()[0].GetMetricName()).To(Equal(one.GetMetricName()))
	Expect(out.GetMetricValues()[0].GetMetricValueFloat()).To(BeEquivalentTo(out.GetMetricValues()[0].GetMetricValue()))
	return out.GetMetricValues()[0].GetMetricValueFloat(), one.GetTargetSizeFloat()
}

// watch returns what StreamIsActive tells.
func (k *keda) watch(ctx context.Context, metadata map[string]string) <-chan bool {
	GinkgoHelper()
	stream, err := k.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/externalscaler.ExternalScaler/StreamIsActive")
	Expect(err).NotTo(HaveOccurred())
	Expect(stream.SendMsg(k.ref(metadata))).To(Succeed())
	Expect(stream.CloseSend()).To(Succeed())
	told := make(chan bool, 16)
	go func() {
		defer close(told)
		for {
			var out externalscaler.IsActiveResponse
			if err := stream.RecvMsg(&out); err != nil {
				return
			}
			told <- out.GetResult()
		}
	}()
	return told
}

// standBy runs an operator that does not lead, and nobody else does. It returns where KEDA reaches it.
func (w *world) standBy(ctx context.Context) string {
	GinkgoHelper()
	now := metav1.NewMicroTime(time.Now())
	Expect(kube.Client.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: run.DefaultLeaderElectionID},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("another"), LeaseDurationSeconds: ptr.To[int32](3600), AcquireTime: &now, RenewTime: &now,
		},
	})).To(Succeed())
	address := testport.Own(GinkgoTB())
	background(func(ctx context.Context) error {
		return run.Run(ctx, run.Options{
			Config: kube.Config, MetricsAddress: "0", HealthAddress: "0", Watched: []string{w.namespace}, Log: w.log,
			// Sales do not go by its clock.
			Clock:   func() time.Time { return time.Now().Add(5 * time.Hour) },
			Version: "test", LeaderElection: true, Namespace: w.namespace, ScalerAddress: address,
		})
	})
	return address
}

// stamp makes the NATS account the OrderCluster's, as the operator that leads does.
func (w *world) stamp(ctx context.Context) {
	GinkgoHelper()
	c := w.getCluster(ctx)
	owner := sale.Owner{Namespace: c.Namespace, Name: c.Name, UID: string(c.UID)}
	Expect(sale.ClaimAccount(ctx, w.js, owner, 1)).To(Succeed())
}

// shown is a folder with a certificate, or none, and how KEDA speaks with who shows it.
func shown(secure bool) (dir string, transport credentials.TransportCredentials) {
	GinkgoHelper()
	if !secure {
		return "", insecure.NewCredentials()
	}
	ca, err := authority.New("test")
	Expect(err).NotTo(HaveOccurred())
	pair, err := ca.Issue(authority.Subject{Name: "operator", Hosts: []string{"127.0.0.1"}})
	Expect(err).NotTo(HaveOccurred())
	dir = GinkgoT().TempDir()
	Expect(pair.Write(dir, "tls.crt", "tls.key")).To(Succeed())
	roots := x509.NewCertPool()
	Expect(roots.AppendCertsFromPEM(ca.PEM())).To(BeTrue())
	return dir, credentials.NewClientTLSFromCert(roots, "")
}

// serveScaler runs a scaler alone, whose clocks are right, until the spec ends.
func serveScaler(ctx context.Context, o scaler.Options) (address string) {
	GinkgoHelper()
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	o.Reader = kube.Client
	o.ServerTime = func(context.Context, *v1alpha1.OrderCluster) (time.Time, error) { return time.Now(), nil }
	server := scaler.NewServer(o)
	background(func(ctx context.Context) error { return server.Serve(ctx, socket) })
	return socket.Addr().String()
}

var _ = Describe("KEDA", func() {
	all := map[string]string{"orderCluster": "shop", "requestsPerReplica": "250", "scalerAddress": "operator:9090"}

	It("learns from any operator when a sale is on, and for how much", func(ctx SpecContext) {
		w := newWorld(ctx, "", time.Now)
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
		w.stamp(ctx)
		Expect(kube.Client.Create(ctx, makePromotion(w.namespace).Obj())).To(Succeed())
		k := newKEDA(w.standBy(ctx), w.namespace, insecure.NewCredentials())

		By("before prewarm")
		Expect(k.active(ctx, all)).To(BeFalse())
		value, target := k.metric(ctx, all)
		Expect([]float64{value, target}).To(Equal([]float64{0, 250}))
		told := k.watch(ctx, all)
		Eventually(told).Should(Receive(BeFalse()))

		By("a start that is less than prewarm away")
		w.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) {
			spec.StartTime = metav1.NewTime(time.Now().Add(50 * time.Second))
		})
		Eventually(told).Should(Receive(BeTrue()))
		Expect(k.active(ctx, all)).To(BeTrue())
		value, _ = k.metric(ctx, all)
		Expect(value).To(BeEquivalentTo(2000))

		By("two sales at once")
		second := makePromotion(w.namespace).Named("second").Window(time.Now(), time.Now().Add(time.Hour)).Obj()
		second.Spec.Traffic.ExpectedPeakRPS = 500
		Expect(kube.Client.Create(ctx, second)).To(Succeed())
		Eventually(func() float64 { value, _ := k.metric(ctx, all); return value }).Should(BeEquivalentTo(2500))
		value, target = k.metric(ctx, map[string]string{"orderCluster": "shop", "promotion": "second"})
		Expect([]float64{value, target}).To(Equal([]float64{500, 1000}))
		fixed := map[string]string{"orderCluster": "shop", "replicas": "7"}
		value, target = k.metric(ctx, fixed)
		Expect([]float64{value, target}).To(Equal([]float64{7, 1}))

		By("a sale that is over")
		Expect(kube.Client.Delete(ctx, second)).To(Succeed())
		Eventually(func() float64 { value, _ := k.metric(ctx, all); return value }).Should(BeEquivalentTo(2000))
		Expect(k.active(ctx, map[string]string{"orderCluster": "shop", "promotion": "second"})).To(BeFalse())
		Consistently(told).WithTimeout(time.Second).ShouldNot(Receive(), "nothing has changed")
		w.changePromotion(ctx, func(spec *v1alpha1.PromotionEventSpec) {
			spec.StartTime = metav1.NewTime(time.Now().Add(-2 * time.Hour))
			spec.EndTime = metav1.NewTime(time.Now().Add(time.Second))
		})
		Eventually(told).Should(Receive(BeFalse()))
		value, _ = k.metric(ctx, fixed)
		Expect(value).To(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("is told which key is wrong, and nothing of other namespaces", func(ctx SpecContext) {
		w := plainWorld(ctx, "", time.Now)
		Expect(kube.Client.Create(ctx, makeCluster(w.namespace, "nats://nobody:4222").Obj())).To(Succeed())
		other := makePromotion(w.namespace).Named("other").Obj()
		other.Spec.OrderClusterRef.Name = "elsewhere"
		Expect(kube.Client.Create(ctx, other)).To(Succeed())
		dir, transport := shown(true)
		address := serveScaler(ctx, scaler.Options{CertificateDir: dir, Logger: w.log})
		k := newKEDA(address, w.namespace, transport)
		Expect(k.active(ctx, all)).To(BeFalse())

		for _, wrong := range []struct {
			metadata map[string]string
			code     codes.Code
			says     string
		}{
			{nil, codes.InvalidArgument, "scalerMetadata.orderCluster: must name an OrderCluster"},
			{map[string]string{"orderCluster": "nobody"}, codes.NotFound,
				`scalerMetadata.orderCluster: there is no OrderCluster "nobody"`},
			{map[string]string{"orderCluster": "shop", "promotion": "other"}, codes.InvalidArgument,
				`scalerMetadata.promotion: PromotionEvent "other" is of OrderCluster "elsewhere"`},
			{map[string]string{"orderCluster": "shop", "requestsPerReplica": "many"}, codes.InvalidArgument,
				`scalerMetadata.requestsPerReplica: "many": must be a whole number from 1`},
			{map[string]string{"orderCluster": "shop", "replicas": "0"}, codes.InvalidArgument, "scalerMetadata.replicas"},
			{map[string]string{"orderCluster": "shop", "replicas": "1", "requestsPerReplica": "1"}, codes.InvalidArgument,
				"scalerMetadata.replicas: must not be set with requestsPerReplica"},
			{map[string]string{"orderCluster": "shop", "namespace": "default"}, codes.InvalidArgument,
				"scalerMetadata.namespace"},
		} {
			_, err := k.active(ctx, wrong.metadata)
			Expect(status.Code(err)).To(Equal(wrong.code), "%v: %v", wrong.metadata, err)
			Expect(status.Convert(err).Message()).To(ContainSubstring(wrong.says))
		}

		By("from another namespace")
		stranger := newKEDA(address, newNamespace(ctx), transport)
		_, err := stranger.active(ctx, all)
		Expect(status.Code(err)).To(Equal(codes.NotFound))
		_, err = newKEDA(address, "", transport).active(ctx, all)
		Expect(status.Convert(err).Message()).To(ContainSubstring("scaledObjectRef.namespace"))
	}, SpecTimeout(2*time.Minute))
})
