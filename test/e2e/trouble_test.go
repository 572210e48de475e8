//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/hack/demo/kube"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/platform"
)

// trouble is what happens in the middle of a sale. It runs beside the spec, so that it returns what is wrong.
type trouble func(ctx context.Context, p plan.Plan) error

// disturb the sale as soon as it is live.
func disturb(ctx context.Context, p plan.Plan, troubles []trouble) error {
	if err := up.Kube.Wait(ctx, "promotionevent/"+p.Promotion, "jsonpath={.status.phase}=Live", time.Minute); err != nil {
		return err
	}
	for _, t := range troubles {
		if err := t(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// after the start, for those who read the output.
func said(p plan.Plan, what string) {
	GinkgoWriter.Printf("%s %s after the start\n", what, time.Since(p.Start).Round(100*time.Millisecond))
}

// kill ends one of the pods with the labels, without a warning. An empty namespace is the OrderCluster's.
func kill(namespace, labels string) trouble {
	return func(ctx context.Context, p plan.Plan) error {
		k := up.Kube
		if namespace != "" {
			k = cluster.Kube(namespace)
		}
		pods, err := k.Run(ctx, "get", "pods", "-l", labels, "--field-selector=status.phase=Running", "-o", "name")
		if err != nil {
			return err
		}
		names := strings.Fields(pods)
		if len(names) == 0 {
			return fmt.Errorf("no pod to kill: %s", labels)
		}
		if _, err := k.Run(ctx, "delete", names[0], "--grace-period=0", "--force"); err != nil {
			return err
		}
		said(p, "killed "+names[0])
		return nil
	}
}

// addStock adds units of the last item to the sale.
func addStock(units int64) trouble {
	return func(ctx context.Context, p plan.Plan) error {
		last := len(p.Items) - 1
		// The plan is what the sale's figures are compared with.
		p.Items[last].Stock += units
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/items/%d/stock","value":%d}]`, last, p.Items[last].Stock)
		_, err := up.Kube.Run(ctx, "patch", "promotionevent/"+p.Promotion, "--type=json", "--patch="+patch)
		return err
	}
}

// upgradeOperator has helm replace the operator's pod.
func upgradeOperator(ctx context.Context, p plan.Plan) error {
	_, err := up.System.HelmRun(ctx, "upgrade", platform.Release, cluster.Chart, "--reuse-values",
		"--set-string", fmt.Sprintf("podAnnotations.upgraded=%d", p.Start.Unix()), "--wait", "--timeout", "3m")
	if err != nil {
		return err
	}
	operator := &appsv1.Deployment{}
	if err := up.System.Get(ctx, "deployment/orderd-operator", operator); err != nil {
		return err
	}
	if operator.Status.UpdatedReplicas == 0 || operator.Status.UpdatedReplicas != operator.Status.Replicas {
		return fmt.Errorf("helm is done, and %d of %d operators are new", operator.Status.UpdatedReplicas,
			operator.Status.Replicas)
	}
	said(p, "upgraded the operator")
	return nil
}

// rollPods changes a setting that all pools read: the standard and worker pods are replaced at once, those of the flash
// pool wait for the end of the sale, until they are told not to.
func rollPods(ctx context.Context, p plan.Plan) error {
	before, err := templates(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// Whatever came of it, the next sale finds what a user finds.
		_, _ = up.Kube.Run(context.WithoutCancel(ctx), "patch", "ordercluster/"+up.Cluster.Name, "--type=merge",
			`--patch={"spec":{"rollout":{"duringSale":"Wait"}}}`)
	}()
	if err := configure(ctx, fmt.Sprintf(`{"http":{"drainTimeout":"20%03dms"}}`, p.Start.Unix()%1000)); err != nil {
		return err
	}
	err = eventually(ctx, func(g Gomega) {
		for _, pool := range []string{"standard", "worker"} {
			g.Expect(rolled(ctx, g, pool)).NotTo(Equal(before[pool]), pool)
		}
		oc := &v1alpha1.OrderCluster{}
		g.Expect(up.Kube.Get(ctx, "ordercluster/"+up.Cluster.Name, oc)).To(Succeed())
		waits := meta.FindStatusCondition(oc.Status.Conditions, v1alpha1.ConditionProgressing)
		g.Expect(waits).NotTo(BeNil())
		g.Expect(waits.Reason).To(Equal(v1alpha1.ReasonRollWaitsForSale), kube.Conditions(oc.Status.Conditions))
		g.Expect(rolled(ctx, g, "flash")).To(Equal(before["flash"]), "the flash pods did not wait")
	})
	if err != nil {
		return fmt.Errorf("rolling the standard and worker pods: %w", err)
	}
	said(p, "rolled the standard and worker pods")
	if err := configure(ctx, `{"rollout":{"duringSale":"Now"}}`); err != nil {
		return err
	}
	if time.Now().After(p.End) {
		return errors.New("the sale ended before its pods were rolled")
	}
	err = eventually(ctx, func(g Gomega) {
		g.Expect(rolled(ctx, g, "flash")).NotTo(Equal(before["flash"]))
	})
	if err != nil {
		return fmt.Errorf("rolling the flash pods: %w", err)
	}
	said(p, "rolled the flash pods")
	return nil
}

// configure merges a part into the OrderCluster's spec.
func configure(ctx context.Context, spec string) error {
	_, err := up.Kube.Run(ctx, "patch", "ordercluster/"+up.Cluster.Name, "--type=merge", `--patch={"spec":`+spec+`}`)
	return err
}

const templateAnnotation = "orderd.dev/template-hash"

// templates are the hashes of the pools' pods.
func templates(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	for _, pool := range []string{"standard", "flash", "worker"} {
		d := &appsv1.Deployment{}
		if err := up.Kube.Get(ctx, "deployment/"+up.Cluster.Name+"-"+pool, d); err != nil {
			return nil, err
		}
		found[pool] = d.Annotations[templateAnnotation]
	}
	return found, nil
}

// rolled expects that all of a pool's pods are of one template and serve, and returns its hash.
func rolled(ctx context.Context, g Gomega, pool string) string {
	d := &appsv1.Deployment{}
	g.Expect(up.Kube.Get(ctx, "deployment/"+up.Cluster.Name+"-"+pool, d)).To(Succeed())
	g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation), pool)
	g.Expect(d.Status.UpdatedReplicas).To(Equal(*d.Spec.Replicas), pool)
	g.Expect(d.Status.AvailableReplicas).To(Equal(*d.Spec.Replicas), pool)
	g.Expect(d.Status.Replicas).To(Equal(*d.Spec.Replicas), "%s: earlier pods are there", pool)
	return d.Annotations[templateAnnotation]
}

// eventually waits, beside a spec, for what is expected; what was not is the error.
func eventually(ctx context.Context, f func(g Gomega)) (err error) {
	g := NewGomega(func(message string, _ ...int) { err = errors.New(message) })
	g.Eventually(f).WithContext(ctx).WithTimeout(within).WithPolling(500 * time.Millisecond).Should(Succeed())
	return err
}
