// Package run starts the operator: its manager, caches and controllers.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/operator/listing"
	"github.com/orderd-dev/orderd/operator/ordercluster"
	"github.com/orderd-dev/orderd/operator/promotionevent"
	"github.com/orderd-dev/orderd/operator/scaler"
	"github.com/orderd-dev/orderd/orderd/sale"
)

// shutdownTimeout is how long a reconcile may go on after the operator was told to stop.
const shutdownTimeout = 20 * time.Second

// Options of the operator.
type Options struct {
	Config *rest.Config
	// MetricsAddress and HealthAddress are host:port; "0" for none.
	MetricsAddress, HealthAddress string
	// MetricsSecure serves /metrics over TLS, and only to those who may get that URL by Kubernetes' rules.
	MetricsSecure bool
	// ScalerAddress is the host:port at which KEDA asks when sales are on; empty or "0": nowhere. ScalerCertificateDir
	// has tls.crt and tls.key for it; empty: it speaks in clear text.
	ScalerAddress, ScalerCertificateDir string
	// LeaderElection lets one of several operators work: the one that has the Lease of this name, and in this
	// namespace. An empty name is DefaultLeaderElectionID.
	LeaderElection              bool
	LeaderElectionID, Namespace string
	// LeaseDuration is how long the others wait for a leader that does not renew its Lease; RenewDeadline, how long
	// it tries before it ends itself; RetryPeriod, how often each of them looks. 0 is the default of each.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// Watched are the only namespaces whose resources are reconciled, and the only ones in which rights are needed;
	// none: all.
	Watched []string
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
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return err
	}
	scheme, err := Scheme()
	if err != nil {
		return err
	}
	log := logr.FromSlogHandler(o.Log.Handler())
	ctrl.SetLogger(log)
	mgr, err := ctrl.NewManager(o.Config, ctrl.Options{
		Scheme: scheme,
		Logger: log,
		Cache:  CacheOptions(o.Watched),
		// A Secret that is read by mistake through the cache's client is not kept either.
		Client: client.Options{
			Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}},
		},
		Metrics:                       o.metricsServer(),
		HealthProbeBindAddress:        o.HealthAddress,
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              o.LeaderElectionID,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.LeaseDuration,
		RenewDeadline:                 &o.RenewDeadline,
		RetryPeriod:                   &o.RetryPeriod,
		GracefulShutdownTimeout:       ptr.To(shutdownTimeout),
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
	unregister, err := export(mgr, o)
	if err != nil {
		return err
	}
	defer unregister()
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the operator: %w", err)
	}
	return nil
}

// CacheOptions keep only the operator's own objects in memory, of its pods no more than their status, and no Secrets'
// data at all: those are watched by their metadata and read when needed. Nothing is asked for outside of the watched
// namespaces; none: all.
func CacheOptions(watched []string) cache.Options {
	own := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{"app.kubernetes.io/managed-by": "orderd-operator"})}
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}:                     own,
			&batchv1.Job{}:                           own,
			&policyv1.PodDisruptionBudget{}:          own,
			&networkingv1.NetworkPolicy{}:            own,
			&corev1.ConfigMap{}:                      own,
			&corev1.Service{}:                        own,
			&autoscalingv2.HorizontalPodAutoscaler{}: own,
			&corev1.ServiceAccount{}:                 own,
			&corev1.Pod{}:                            {Label: own.Label, Transform: statusOnly},
			// Not by a label: most are made by others.
			&corev1.Secret{}: {Transform: identityOnly},
		},
	}
	if len(watched) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range watched {
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return options
}

// identityOnly keeps of a Secret which one it is and whose. An annotation can hold all of its data: kubectl apply
// writes what it applied into one.
func identityOnly(in any) (any, error) {
	secret, ok := in.(*metav1.PartialObjectMetadata)
	if !ok {
		return nil, fmt.Errorf("a %T would be kept in memory: Secrets are watched by their metadata", in)
	}
	secret.ManagedFields, secret.Annotations, secret.Labels = nil, nil, nil
	return secret, nil
}

// statusOnly keeps of a pod what says whose it is and why it does not start.
func statusOnly(in any) (any, error) {
	if pod, ok := in.(*corev1.Pod); ok {
		pod.ManagedFields, pod.Annotations, pod.Spec = nil, nil, corev1.PodSpec{}
	}
	return in, nil
}

func setup(mgr ctrl.Manager, registry *backends.Registry, o Options) error {
	if err := listing.Index(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	clusters := &ordercluster.Reconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("orderd-operator"),
		Backends: registry, Clock: o.Clock, Log: o.Log, Version: o.Version,
		Indexed: true,
	}
	if err := clusters.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up OrderClusters: %w", err)
	}
	promotions := &promotionevent.Reconciler{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("orderd-operator"),
		Backends: registry, Clock: o.Clock, Log: o.Log, AfterStep: o.AfterStep,
		Indexed: true,
	}
	if err := promotions.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up PromotionEvents: %w", err)
	}
	if o.ScalerAddress != "" && o.ScalerAddress != "0" {
		if err := errors.Join(forgetDeleted(mgr, registry), mgr.Add(scaler.NewServer(scaler.Options{
			Address: o.ScalerAddress, CertificateDir: o.ScalerCertificateDir, Reader: mgr.GetClient(), Indexed: true,
			ServerTime: registry.ReadServerTime, Logger: o.Log,
		}))); err != nil {
			return fmt.Errorf("setting up the scaler: %w", err)
		}
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping),
		mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("setting up probes: %w", err)
	}
	return nil
}

// forgetDeleted closes what an operator that does not lead is connected to, once its OrderCluster is deleted. One that
// leads does so by its reconciler.
func forgetDeleted(mgr ctrl.Manager, registry *backends.Registry) error {
	informer, err := mgr.GetCache().GetInformer(context.Background(), &v1alpha1.OrderCluster{},
		cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(o any) {
		select {
		case <-mgr.Elected():
			return
		default:
		}
		if name, err := toolscache.DeletionHandlingObjectToName(o); err == nil {
			registry.Forget(name.AsNamespacedName())
		}
	}})
	return err
}
