// Package operator_test runs the operator against a real API server, NATS server and database.
package operator_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/orderd-dev/orderd/test/kit/testkube"
)

var (
	kube *testkube.Environment
	// operatorConfig and operatorKubeconfig reach the API server with the operator's rights.
	operatorConfig     *rest.Config
	operatorKubeconfig []byte
)

func TestOperator(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "operator")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	kube, err = testkube.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(kube.Stop()).To(Succeed()) })
	operatorConfig, operatorKubeconfig, err = kube.Operator(ctx)
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(2*time.Minute))

// newNamespace makes a namespace that no other spec uses. envtest never removes one.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	Expect(kube.Client.Create(ctx, ns)).To(Succeed())
	return ns.Name
}
