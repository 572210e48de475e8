// Package run starts the operator: its manager, caches and controllers.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/ordercluster"
	"github.com/orderd-dev/orderd/operator/promotionevent"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// leaderID names the Lease that the leader holds.
const leaderID = "orderd-operator"

// shutdownTimeout is how long a reconcile may go on after the operator was told to stop.
const shutdownTimeout = 20 * time.Second

// How long a leader that stopped renewing is waited for, how long it tries before it gives up
// itself, and how often either looks.
const (
	leaseDuration = 6 * time.Second
	renewDeadline = 4 * time.Second
	retryPeriod   = time.Second
)

// Options of the operator.
type Options struct {
	Config *rest.Config
	// MetricsAddress and HealthAddress are host:port; "0" for none.
	MetricsAddress, HealthAddress string
	// LeaderElection lets one of several operators work. Namespace is that of the Lease.
	LeaderElection bool
	Namespace      string
	// Watched is the only namespace whose resources are reconciled; empty: all.
	Watched string
	// Version is what orderd_operator_info says.
	Version string
	Clock   func() time.Time
	Log     *slog.Logger
	// AfterStep, if set, is told of each step of a sale that succeeded; its error becomes the
	// step's. Tests end the operator there.
	AfterStep func(sale.Step, *flashv1.Promotion) error
}

// Scheme has every type that the operator reads or writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	return scheme, nil
}

// Run runs the operator until ctx ends. The Lease is released then, so that another takes over at
// once.
func Run(ctx context.Context, o Options) error {
	scheme, err := Scheme()
	if err != nil {
		return err
	}
	log := logr.FromSlogHandler(o.Log.Handler())
	ctrl.SetLogger(log)
	mgr, err := ctrl.NewManager(o.Config, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        log,
		Cache:                         cacheOptions(o),
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.HealthAddress,
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              leaderID,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		// A killed operator is replaced within a sale that lasts seconds; the defaults take a
		// quarter of a minute.
		LeaseDuration:           ptr.To(leaseDuration),
		RenewDeadline:           ptr.To(renewDeadline),
		RetryPeriod:             ptr.To(retryPeriod),
		GracefulShutdownTimeout: ptr.To(shutdownTimeout),
		// A process of tests runs several managers, one after the other.
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	registry := backends.NewRegistry(mgr.GetAPIReader(), o.Log)
	defer registry.Close()
	if err := setup(mgr, registry, o); err != nil {
		return err
	}
	collector := promotionevent.NewCollector(mgr.GetCache(), o.Clock, o.Log)
	// The registry is the process's, and a process of tests runs several operators.
	for _, c := range []prometheus.Collector{collector, info(o.Version)} {
		if err := metrics.Registry.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
		defer metrics.Registry.Unregister(c)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the operator: %w", err)
	}
	return nil
}

// info is a metric that says which version runs.
func info(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_operator_info", Help: "1, labelled with the operator's version.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
}

// cacheOptions keep only the operator's own objects in memory, and no Secrets' data at all: those are
// watched by their metadata and read when needed.
func cacheOptions(o Options) cache.Options {
	own := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": "orderd-operator"})}
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}:            own,
			&batchv1.Job{}:                  own,
			&policyv1.PodDisruptionBudget{}: own,
			&networkingv1.NetworkPolicy{}:   own,
			&corev1.ConfigMap{}:             own,
			&corev1.Service{}:               own,
			&corev1.ServiceAccount{}:        own,
		},
	}
	if o.Watched != "" {
		options.DefaultNamespaces = map[string]cache.Config{o.Watched: {}}
	}
	return options
}

func setup(mgr ctrl.Manager, registry *backends.Registry, o Options) error {
	clusters := &ordercluster.Reconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("orderd-operator"),
		Backends: registry, Clock: o.Clock, Log: o.Log,
	}
	if err := clusters.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up OrderClusters: %w", err)
	}
	promotions := &promotionevent.Reconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("orderd-operator"),
		Backends: registry, Clock: o.Clock, Log: o.Log, AfterStep: o.AfterStep,
	}
	if err := promotions.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up PromotionEvents: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("setting up probes: %w", err)
	}
	return nil
}
