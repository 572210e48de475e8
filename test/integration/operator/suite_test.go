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

	"github.com/orderd-dev/orderd/test/testkube"
)

var kube *testkube.Environment

func TestOperator(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "operator")
}

var _ = BeforeSuite(func() {
	var err error
	kube, err = testkube.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(kube.Stop()).To(Succeed()) })
})

// newNamespace makes a namespace that no other spec uses. envtest never removes one.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	Expect(kube.Client.Create(ctx, ns)).To(Succeed())
	return ns.Name
}
