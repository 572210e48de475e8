package operator_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/operator/run"
)

// argumentsVariable has the arguments that the chart gives its operator, a line each. The child process is this
// test's binary, running nothing but that operator.
const argumentsVariable = "ORDERD_TEST_ARGUMENTS"

// releaseChild runs an operator as its binary does.
func releaseChild(arguments string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := run.Options{Clock: time.Now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	c := &cobra.Command{RunE: func(c *cobra.Command, _ []string) error {
		config, err := clientcmd.BuildConfigFromFlags("", os.Getenv(kubeconfigVariable))
		if err != nil {
			return err
		}
		config.QPS = -1
		o.Config = config
		return run.Run(c.Context(), o)
	}}
	o.Flags(c)
	c.SetArgs(strings.Split(arguments, "\n"))
	return c.ExecuteContext(ctx)
}

// release is the chart as helm installed it. Nothing runs its Deployment.
type release struct {
	namespace, name string
	// config and kubeconfig have the rights of the operator's ServiceAccount.
	config     *rest.Config
	kubeconfig []byte
}

// settings are helm's arguments for these values, which are written as --set takes them.
func settings(values ...string) []string {
	args := []string{"--set", "crds.enabled=false"}
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return args
}

// install installs the chart until the spec ends.
func install(ctx context.Context, namespace, name string, values ...string) *release {
	GinkgoHelper()
	_, err := kube.Helm(ctx, namespace, append([]string{"install", name, chart}, settings(values...)...)...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		_, err := kube.Helm(ctx, namespace, "uninstall", name)
		Expect(err).NotTo(HaveOccurred())
	})
	r := &release{namespace: namespace, name: name}
	r.config, r.kubeconfig, err = kube.ServiceAccount(ctx, namespace, r.operator())
	Expect(err).NotTo(HaveOccurred())
	return r
}

// operator is the name of the operator's objects, and of its Lease.
func (r *release) operator() string { return r.name + "-operator" }

// client has the operator's rights.
func (r *release) client() client.Client {
	GinkgoHelper()
	c, err := client.New(r.config, client.Options{Scheme: kube.Scheme})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// arguments are those of the operator's container.
func (r *release) arguments(ctx context.Context) []string {
	GinkgoHelper()
	d := &appsv1.Deployment{}
	Expect(kube.Client.Get(ctx, types.NamespacedName{Namespace: r.namespace, Name: r.operator()}, d)).To(Succeed())
	args := d.Spec.Template.Spec.Containers[0].Args
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "$(POD_NAMESPACE)", r.namespace)
	}
	return args
}

// operate runs the operator as the Deployment has it, in a process of its own, until the spec ends. Flags come
// after those of the Deployment.
func (r *release) operate(ctx context.Context, flags ...string) {
	GinkgoHelper()
	kubeconfig := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(kubeconfig, r.kubeconfig, 0o600)).To(Succeed())
	args := append(r.arguments(ctx), "--metrics-address=0", "--health-address=0")
	args = append(args, flags...)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), argumentsVariable+"="+strings.Join(args, "\n"), kubeconfigVariable+"="+kubeconfig)
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	// If this process goes, the child does, too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	Expect(cmd.Start()).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	DeferCleanup(func() {
		Expect(cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Eventually(ended).Should(Receive(BeNil()))
	})
}
