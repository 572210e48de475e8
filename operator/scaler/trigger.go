package scaler

import (
	"fmt"
	"strconv"

	"connectrpc.com/connect/v2"

	externalscaler "github.com/orderd-dev/orderd/api/gen/externalscaler"
)

// The keys of a trigger's metadata. KEDA sends its own as well, such as scalerAddress.
const (
	// keyOrderCluster names an OrderCluster in the ScaledObject's namespace.
	keyOrderCluster = "orderCluster"
	// keyPromotion names the one PromotionEvent that counts; without it all of the OrderCluster's do.
	keyPromotion = "promotion"
	// keyRequests is how many of the expected requests a second one replica takes.
	keyRequests = "requestsPerReplica"
	// keyReplicas, in its place, is how many replicas there should be while a sale is on, whatever is expected of it.
	keyReplicas = "replicas"
	// keyNamespace may be there, with the ScaledObject's own.
	keyNamespace = "namespace"
)

const (
	// defaultRequests is what a flash pod takes until it was measured.
	defaultRequests = 1000
	maxRequests     = 10_000_000
	maxReplicas     = 100_000
)

// trigger is what a ScaledObject asks for.
type trigger struct {
	namespace, orderCluster, promotion string
	// requests is what one replica takes; 0: there should be so many replicas.
	requests, replicas int64
}

// triggerOf reads it. An error names the key that is wrong.
func triggerOf(ref *externalscaler.ScaledObjectRef) (trigger, error) {
	metadata := ref.GetScalerMetadata()
	t := trigger{
		namespace: ref.GetNamespace(), orderCluster: metadata[keyOrderCluster], promotion: metadata[keyPromotion],
	}
	if t.namespace == "" {
		return t, connect.NewError(connect.CodeInvalidArgument, "scaledObjectRef.namespace: must be set")
	}
	if n, ok := metadata[keyNamespace]; ok && n != t.namespace {
		return t, refuse(connect.CodeInvalidArgument, keyNamespace,
			"a ScaledObject in namespace %q may not ask about namespace %q", t.namespace, n)
	}
	if t.orderCluster == "" {
		return t, refuse(connect.CodeInvalidArgument, keyOrderCluster,
			"must name an OrderCluster in the ScaledObject's namespace")
	}
	requests, hasRequests := metadata[keyRequests]
	replicas, hasReplicas := metadata[keyReplicas]
	var err error
	switch {
	case hasRequests && hasReplicas:
		err = refuse(connect.CodeInvalidArgument, keyReplicas, "must not be set with %s", keyRequests)
	case hasReplicas:
		t.replicas, err = number(keyReplicas, replicas, maxReplicas)
	case hasRequests:
		t.requests, err = number(keyRequests, requests, maxRequests)
	default:
		t.requests = defaultRequests
	}
	return t, err
}

func number(key, text string, most int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, refuse(connect.CodeInvalidArgument, key, "%q: must be a whole number from 1 to %d", text, most)
	}
	return n, nil
}

// refuse says what is wrong with a key.
func refuse(code connect.Code, key, format string, args ...any) error {
	return connect.NewError(code, "scalerMetadata."+key+": "+fmt.Sprintf(format, args...))
}

// metric is the name of what is told.
func (t trigger) metric() string {
	if t.requests > 0 {
		return "orderd-expected-requests"
	}
	return "orderd-replicas"
}

// target is how much of the metric one replica takes.
func (t trigger) target() int64 { return max(t.requests, 1) }

// value of the metric while so many requests a second are expected.
func (t trigger) value(peak int64) int64 {
	switch {
	case t.requests > 0:
		return peak
	case peak > 0:
		return t.replicas
	}
	return 0
}
