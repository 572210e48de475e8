// Command soak lets two operators look after two shops on a real API server, with real databases and NATS servers,
// while a random walk edits, deletes and makes anew all that is theirs, foreign hands change what the operators made,
// and API server, NATS, databases and the operators themselves fail.
//
//	go run ./test/soak -for 30m -seed 7
//
// Every minute the faults end, and each shop has to become what its specs make of a fresh one: all objects, conditions
// and what the pods were told are compared. An audit finds stock, streams and entries that no promotion accounts for.
// What the walk does is fixed by the seed, but not when it meets what the operators do: a failure may need several runs
// of its seed to come again, and bin/logs has what the operators said.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testkube"
)

// options of a run.
type options struct {
	length, every, patience time.Duration

	seed   uint64
	places int
	logs   string
}

// now is the one clock.
func now() time.Time { return time.Now() }

func main() {
	if os.Getenv(gatewayVariable) != "" {
		if err := operate(); err != nil {
			fmt.Fprintln(os.Stderr, "operator:", err)
			os.Exit(1)
		}
		return
	}
	o := options{places: 2}
	flag.DurationVar(&o.length, "for", 30*time.Minute, "how long the walk is; it ends with the checkpoint after that")
	flag.DurationVar(&o.every, "every", time.Minute, "how long the walk is between two checkpoints")
	flag.Uint64Var(&o.seed, "seed", 0, "what the walk does; 0: by the time")
	flag.DurationVar(&o.patience, "patience", 3*time.Minute, "how long a shop may take to become what a fresh one is")
	flag.StringVar(&o.logs, "logs", "bin/logs", "folder for what the operators say")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := soak(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "soak: seed %d: %v\n", o.seed, err)
		os.Exit(1)
	}
}

func soak(ctx context.Context, o options, out io.Writer) error {
	begun := time.Now()
	if err := os.MkdirAll(o.logs, 0o755); err != nil {
		return err
	}
	name := filepath.Join(o.logs, fmt.Sprintf("soak-%d.log", o.seed))
	log, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	kube, err := testkube.Start()
	if err != nil {
		return err
	}
	defer func() { _ = kube.Stop() }()
	base, err := testdb.Server()
	if err != nil {
		return err
	}
	w, err := newWalk(ctx, o, kube, base, log)
	if w != nil {
		defer w.stop()
	}
	if err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	w.out = out
	_, _ = fmt.Fprintf(out, "seed %d: API server, 2 operators, %d shops are up after %s; the operators write to %s\n",
		o.seed, o.places, time.Since(begun).Round(100*time.Millisecond), name)
	if err := w.walk(ctx, o, base); err != nil {
		_, _ = fmt.Fprintf(out, "the last steps:\n%s\n", strings.Join(w.last, "\n"))
		return err
	}
	_, _ = fmt.Fprintf(out, "soak passed: seed %d, %s, %s\n", o.seed, time.Since(begun).Round(time.Second), w.summary())
	return nil
}

// walk for the time, with checkpoints on the way and at the end, and delete everything at last.
func (w *walk) walk(ctx context.Context, o options, base *url.URL) error {
	w.begun = time.Now()
	var first figures
	walked := time.Duration(0)
	for n := 1; walked < o.length; n++ {
		until := time.Now().Add(min(o.every, o.length-walked))
		walked += min(o.every, o.length-walked)
		for time.Now().Before(until) {
			if err := w.step(ctx); err != nil {
				return err
			}
		}
		at := time.Now()
		if err := w.checkpoint(ctx, base); err != nil {
			return err
		}
		got, err := w.figures(ctx)
		if err != nil {
			return err
		}
		if n == 1 {
			first = got
		}
		_, _ = fmt.Fprintf(w.out, "%8s: checkpoint %d passed in %s; %s; %s\n", time.Since(w.begun).Round(time.Second), n,
			time.Since(at).Round(time.Second), got, w.summary())
		if err := got.exceed(first); err != nil {
			return err
		}
	}
	for _, p := range w.places {
		if err := w.removed(ctx, p); err != nil {
			return fmt.Errorf("%s: at the end everything was deleted: %w", p.namespace, err)
		}
	}
	return nil
}

func newWalk(ctx context.Context, o options, kube *testkube.Environment, base *url.URL, log io.Writer) (*walk, error) {
	w := &walk{
		random: rand.New(rand.NewPCG(o.seed, 0)), kube: kube.Client, done: map[string]int{}, faults: map[string]int{},
		begun: time.Now(), patience: o.patience,
	}
	config, _, err := kube.Operator(ctx)
	if err != nil {
		return w, err
	}
	if err := discoverKinds(kube.Config); err != nil {
		return w, err
	}
	if err := mayLead(ctx, kube.Client); err != nil {
		return w, err
	}
	if w.gateway, err = newGateway(config, o.seed); err != nil {
		return w, err
	}
	for _, name := range []string{"a", "b"} {
		operator, err := newOperator("operator "+name, w.gateway.url, log)
		if err != nil {
			return w, err
		}
		w.operators = append(w.operators, operator)
		if err := operator.start(); err != nil {
			return w, err
		}
	}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	for range o.places {
		p, err := newPlace(ctx, kube.Client, base, logger)
		if err != nil {
			return w, err
		}
		w.places = append(w.places, p)
		if err := p.provide(ctx); err != nil {
			return w, err
		}
		if err := p.stock(ctx); err != nil {
			return w, err
		}
		if err := p.sell(); err != nil {
			return w, err
		}
		w.kubelets = append(w.kubelets, playKubelet(p))
		if err := p.kube.Create(ctx, newCluster(p)); err != nil {
			return w, err
		}
	}
	return w, nil
}

// mayLead grants whoever comes through the gateway what the chart's Role grants the operator.
func mayLead(ctx context.Context, kube client.Client) error {
	meta := metav1.ObjectMeta{Namespace: leaseNamespace, Name: "lead"}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: leaseNamespace}},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"*"}},
			{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:authenticated"}},
		},
	} {
		if err := kube.Create(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) stop() {
	for _, o := range w.operators {
		o.kill()
	}
	for _, k := range w.kubelets {
		k.stop()
	}
	for _, p := range w.places {
		p.stop()
	}
	if w.gateway != nil {
		w.gateway.stop()
	}
}
