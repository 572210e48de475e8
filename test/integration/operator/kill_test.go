package operator_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/run"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// The child process is this test's binary, running nothing but an operator.
const (
	killAfterVariable  = "ORDERD_TEST_KILL_AFTER"
	kubeconfigVariable = "ORDERD_TEST_KUBECONFIG"
	namespaceVariable  = "ORDERD_TEST_NAMESPACE"
)

func TestMain(m *testing.M) {
	var err error
	if point := os.Getenv(killAfterVariable); point != "" {
		err = child(point)
	} else if arguments := os.Getenv(argumentsVariable); arguments != "" {
		err = releaseChild(arguments)
	} else {
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child runs an operator that kills its own process right after a step of the sale has succeeded.
func child(point string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv(kubeconfigVariable))
	if err != nil {
		return err
	}
	// As the operator's own.
	config.QPS = -1
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return run.Run(ctx, run.Options{
		Config: config, MetricsAddress: "0", HealthAddress: "0", Watched: []string{os.Getenv(namespaceVariable)},
		Clock: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		AfterStep: func(step sale.Step, p *flashv1.Promotion) error {
			if string(step) == point || string(step)+withTopUp == point && len(p.GetTopUps()) > 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // The signal is on its way: nothing may happen after the step.
			}
			return nil
		},
	})
}

// withTopUp after a step's name is the point at which it was done with stock that was added.
const withTopUp = ", with a top-up"

// operateUntilKilled starts the child. The channel is closed once it was killed by its own signal.
func (w *world) operateUntilKilled(point sale.Step) <-chan struct{} {
	GinkgoHelper()
	kubeconfig := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(kubeconfig, operatorKubeconfig, 0o600)).To(Succeed())
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(),
		killAfterVariable+"="+string(point), kubeconfigVariable+"="+kubeconfig, namespaceVariable+"="+w.namespace)
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	// If this process goes, the child does, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	Expect(cmd.Start()).To(Succeed())
	killed, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var exit *exec.ExitError
		if errors.As(cmd.Wait(), &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
			close(killed)
		}
	}()
	DeferCleanup(func() {
		_ = cmd.Process.Kill()
		Eventually(ended).Should(BeClosed())
	})
	return killed
}

const killTimeout = SpecTimeout(2 * time.Minute)

var _ = Describe("An operator that is killed", func() {
	const sold = 20
	// checkKilled asserts what the dead operator left behind.
	type checkKilled func(ctx context.Context, w *world, uid string)
	streamless := func(ctx context.Context, w *world, uid string) {
		_, err := w.js.Stream(ctx, plog.StreamNames(uid, 1)[0])
		Expect(err).To(MatchError(jetstream.ErrStreamNotFound))
	}
	returned := func(want int) checkKilled {
		return func(ctx context.Context, w *world, uid string) {
			quantities, err := stock.Returned(ctx, w.pool(ctx), uid)
			Expect(err).NotTo(HaveOccurred())
			Expect(quantities).To(HaveLen(want))
		}
	}
	DescribeTable(
		"ends, started again, as if it had not been",
		func(ctx SpecContext, point sale.Step, selling bool, check checkKilled) {
			w, pool := migratedWorld(ctx, time.Now)
			w.play()
			addSKU(ctx, pool, "phone", 1000)
			addSKU(ctx, pool, "case", 1000)
			Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
			start := time.Now().Truncate(time.Second)
			p := makePromotion(w.namespace).Window(start, start.Add(time.Hour)).Obj()
			p.Spec.Settlement.KeepLog = &metav1.Duration{Duration: time.Hour}
			Expect(kube.Client.Create(ctx, p)).To(Succeed())
			flash := w.sell()
			killed := w.operateUntilKilled(point)
			sell := func() {
				Eventually(
					func() v1alpha1.PromotionPhase { return w.getPromotion(ctx).Status.Phase },
				).Should(Equal(v1alpha1.PhaseLive))
				buyMany(ctx, flash, "phone", sold)
				w.materialize(pool)
				Expect(kube.Client.Delete(ctx, w.getPromotion(ctx))).To(Succeed())
			}
			if selling {
				sell()
			}
			Eventually(killed).Should(BeClosed(), "the operator did not come to the point")
			check(ctx, w, string(p.UID))
			w.operate()
			if !selling {
				sell()
			}
			Eventually(w.promotionCondition(ctx, v1alpha1.ConditionSettled)).Should(Equal("True/Settled"))
			p = w.getPromotion(ctx)
			Expect(condition(p.Status.Conditions, v1alpha1.ConditionInvariantViolated)).To(Equal("False/Proved"))
			Expect(p.Status.Items).To(ConsistOf(itemStatus("phone", 100, sold, 100-sold, ptr.To[int64](100-sold)),
				itemStatus("case", 50, 0, 50, ptr.To[int64](50))))
			Expect(levels(ctx, pool, "phone")).To(Equal(stock.Levels{Available: 1000 - sold, Reserved: sold}))
			Expect(levels(ctx, pool, "case")).To(Equal(stock.Levels{Available: 1000}))
		},
		Entry("between allocating stock and making the stream", killTimeout, sale.StepAllocate, false,
			checkKilled(streamless)),
		Entry("between making the stream and opening partitions", killTimeout, sale.StepEnsureStreams, false, returned(0)),
		Entry("between opening partitions and telling the pods", killTimeout, sale.StepOpenPartitions, false, returned(0)),
		Entry("between telling the pods and noting it", killTimeout, sale.StepPublish, false, returned(0)),
		Entry("between closing partitions and returning stock", killTimeout, sale.StepClosePartitions, true, returned(0)),
		Entry("between telling the pods of the end and returning stock", killTimeout, sale.StepPublishClosed, true,
			returned(0)),
		Entry("between returning stock and noting it", killTimeout, sale.StepReturnUnsold, true, returned(2)),
	)

	DescribeTable("while stock is added, adds it once",
		func(ctx SpecContext, point sale.Step, ended bool) {
			w, pool := migratedWorld(ctx, time.Now)
			w.play()
			addSKU(ctx, pool, "phone", 1000)
			addSKU(ctx, pool, "case", 1000)
			Expect(kube.Client.Create(ctx, makeCluster(w.namespace, w.nats.URL()).Obj())).To(Succeed())
			start := time.Now().Truncate(time.Second)
			p := makePromotion(w.namespace).Window(start, start.Add(time.Hour)).Obj()
			p.Spec.Settlement.KeepLog = &metav1.Duration{Duration: time.Hour}
			Expect(kube.Client.Create(ctx, p)).To(Succeed())
			flash := w.sell()
			killed := w.operateUntilKilled(point)
			Eventually(
				func() v1alpha1.PromotionPhase { return w.getPromotion(ctx).Status.Phase },
			).Should(Equal(v1alpha1.PhaseLive))
			buyMany(ctx, flash, "phone", sold)
			w.materialize(pool)
			w.changePromotion(ctx,
				func(spec *v1alpha1.PromotionEventSpec) { spec.Items[0].Stock, spec.Items[1].Stock = 140, 57 })
			end := func() {
				Eventually(func() bool {
					p := w.getPromotion(ctx)
					c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionToppedUp)
					return c.Status == metav1.ConditionTrue && c.ObservedGeneration == p.Generation
				}).Should(BeTrue())
				Expect(kube.Client.Delete(ctx, w.getPromotion(ctx))).To(Succeed())
			}
			if ended {
				end()
			}
			Eventually(killed).Should(BeClosed(), "the operator did not come to the point")
			w.operate()
			if !ended {
				end()
			}
			Eventually(w.promotionCondition(ctx, v1alpha1.ConditionSettled)).Should(Equal("True/Settled"))
			p = w.getPromotion(ctx)
			Expect(condition(p.Status.Conditions, v1alpha1.ConditionInvariantViolated)).To(Equal("False/Proved"))
			Expect(p.Status.Items).To(ConsistOf(itemStatus("phone", 140, sold, 140-sold, ptr.To[int64](140-sold)),
				itemStatus("case", 57, 0, 57, ptr.To[int64](57))))
			Expect(levels(ctx, pool, "phone")).To(Equal(stock.Levels{Available: 1000 - sold, Reserved: sold}))
			Expect(levels(ctx, pool, "case")).To(Equal(stock.Levels{Available: 1000}))
		},
		Entry("between moving it in the database and telling the pods", killTimeout, sale.StepTopUp+withTopUp, false),
		Entry("between telling the pods and noting it", killTimeout, sale.StepPublish+withTopUp, false),
		Entry("between ending it and closing partitions", killTimeout, sale.StepEndTopUps, true),
		Entry("between closing partitions and returning stock", killTimeout, sale.StepClosePartitions, true),
	)
})
