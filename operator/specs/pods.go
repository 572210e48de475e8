package specs

import (
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// user of the image, which has no shell and no other.
	user = 65532
	// secretMode lets the user's group read a mounted secret, and nobody write it.
	secretMode = 0o440

	// graceBeyondDrain is what a pod may take to end beside what it takes to drain.
	graceBeyondDrain = 22 * time.Second
)

// terminationGraceSeconds is more than a pod takes to drain.
func terminationGraceSeconds(c *v1alpha1.OrderCluster) int64 {
	http := Settings(c).HTTP
	grace := time.Duration(http.DrainDelay) + time.Duration(http.DrainTimeout) + graceBeyondDrain
	return int64(math.Ceil(grace.Seconds()))
}

func podSecurity() *corev1ac.PodSecurityContextApplyConfiguration {
	return corev1ac.PodSecurityContext().
		WithRunAsNonRoot(true).WithRunAsUser(user).WithRunAsGroup(user).WithFSGroup(user).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
}

func containerSecurity() *corev1ac.SecurityContextApplyConfiguration {
	return corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))
}

// mount is a volume and where the container sees it.
type mount struct {
	volume *corev1ac.VolumeApplyConfiguration
	path   *corev1ac.VolumeMountApplyConfiguration
}

func configMount(configMap string) mount {
	return mount{
		volume: corev1ac.Volume().WithName("config").WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(configMap)),
		path:   corev1ac.VolumeMount().WithName("config").WithMountPath(configPath).WithSubPath(configKey).WithReadOnly(true),
	}
}

func secretMount(name, file string, ref v1alpha1.SecretKeyReference) mount {
	return mount{
		volume: corev1ac.Volume().WithName(name).WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(ref.Name).WithDefaultMode(secretMode).
			WithItems(corev1ac.KeyToPath().WithKey(ref.Key).WithPath(file))),
		path: corev1ac.VolumeMount().WithName(name).WithMountPath(secretsDir + "/" + name).WithReadOnly(true),
	}
}

// secretDirMount has all of a Secret's keys as files.
func secretDirMount(name string, ref v1alpha1.SecretReference) mount {
	return mount{
		volume: corev1ac.Volume().WithName(name).WithSecret(corev1ac.SecretVolumeSource().
			WithSecretName(ref.Name).WithDefaultMode(secretMode)),
		path: corev1ac.VolumeMount().WithName(name).WithMountPath(secretsDir + "/" + name).WithReadOnly(true),
	}
}

const (
	// keyFile is what a Secret's one key is mounted as.
	keyFile    = "key"
	pushVolume = "push"
)

func paymentVolume(p v1alpha1.PaymentSpec) string { return "payments-" + string(p.Provider) }

func carrierVolume(c v1alpha1.CarrierSpec) string { return "carriers-" + c.Name }

// mounts of a pool's pods: each gets only the secrets its role needs.
func mounts(c *v1alpha1.OrderCluster, pool, configMap string) []mount {
	m := []mount{
		configMount(configMap),
		secretMount("keys", OrderIDKey, v1alpha1.SecretKeyReference{Name: KeysName(c.Name), Key: OrderIDKey}),
	}
	m = append(append(m, trustMounts(c)...), messagingMounts(c, pool)...)
	if c.Spec.TLS != nil && pool != v1alpha1.PoolWorker {
		m = append(m, secretDirMount(tlsName, c.Spec.TLS.SecretRef))
	}
	if pool == v1alpha1.PoolFlash {
		return m
	}
	m = append(m, databaseMounts(c)...)
	for _, p := range c.Spec.Payments {
		if p.SecretRef != nil {
			m = append(m, secretMount(paymentVolume(p), keyFile, *p.SecretRef))
		}
		if p.KeysSecretRef != nil {
			m = append(m, secretDirMount(paymentVolume(p), *p.KeysSecretRef))
		}
	}
	for _, carrier := range c.Spec.Carriers {
		m = append(m, secretMount(carrierVolume(carrier), keyFile, carrier.SecretRef))
	}
	if n := c.Spec.Notifications; n != nil && pool == v1alpha1.PoolWorker {
		m = append(m, secretMount(pushVolume, keyFile, n.SecretRef))
	}
	return m
}

// SecretRefs are the Secrets that an OrderCluster's spec names, the database's first. One without a
// key is needed as a whole.
func SecretRefs(c *v1alpha1.OrderCluster) []v1alpha1.SecretKeyReference {
	return slices.Concat(databaseRefs(c), allMessagingRefs(c), trustRefs(c), renewedRefs(c), paymentRefs(c),
		carrierRefs(c), pushRefs(c))
}

func fieldEnv(name, path string) *corev1ac.EnvVarApplyConfiguration {
	return corev1ac.EnvVar().WithName(name).
		WithValueFrom(corev1ac.EnvVarSource().WithFieldRef(corev1ac.ObjectFieldSelector().WithFieldPath(path)))
}

func probe(path string, periodSeconds, failures int32) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(
			corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("admin")).WithScheme(corev1.URISchemeHTTP),
		).
		WithPeriodSeconds(periodSeconds).WithTimeoutSeconds(3).WithFailureThreshold(failures)
}

func container(c *v1alpha1.OrderCluster, pool string) *corev1ac.ContainerApplyConfiguration {
	args := []string{"serve", "--role=" + pool, "--config=" + configPath, "--name=$(POD_NAME)"}
	ports := []*corev1ac.ContainerPortApplyConfiguration{containerPort("admin", adminPort)}
	if pool != v1alpha1.PoolWorker {
		ports = append(ports, containerPort("rpc", rpcPort))
	}
	if pool == v1alpha1.PoolFlash {
		// An IPv6 address needs brackets before a port, which Kubernetes does not put there.
		args = append(args, "--advertise-host=$(POD_IP)")
		ports = append(ports, containerPort("peer", peerPort))
	}
	con := corev1ac.Container().WithName(appName).WithImage(c.Spec.Image).WithArgs(args...).WithPorts(ports...).
		WithEnv(fieldEnv("POD_NAME", "metadata.name"), fieldEnv("POD_IP", "status.podIP")).
		WithEnv(trustEnv(c)...).
		// A minute to start: while its messaging or database is away a pod is alive, but not ready.
		WithStartupProbe(probe("/livez", 1, 60)).
		WithLivenessProbe(probe("/livez", 10, 6)).
		WithReadinessProbe(probe("/readyz", 1, 3)).
		// Its last words are in the pod's status, and from there in the OrderCluster's.
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithSecurityContext(containerSecurity())
	if memory, ok := c.Pool(pool).Resources.Limits[corev1.ResourceMemory]; ok {
		con = con.WithEnv(collector(memory.Value())...)
	}
	if r := c.Pool(pool).Resources; len(r.Limits)+len(r.Requests) > 0 {
		con = con.WithResources(resources(r))
	}
	return con
}

// resources as they are applied: without what is not set.
func resources(r corev1.ResourceRequirements) *corev1ac.ResourceRequirementsApplyConfiguration {
	out := corev1ac.ResourceRequirements()
	if len(r.Limits) > 0 {
		out = out.WithLimits(r.Limits)
	}
	if len(r.Requests) > 0 {
		out = out.WithRequests(r.Requests)
	}
	return out
}

// collector lets Go's garbage collector use the memory that the pod has: it runs seldom while there
// is plenty, and often enough near the limit. Collecting as often as Go does by itself took a fifth
// of the CPU of placing an order.
func collector(memoryLimit int64) []*corev1ac.EnvVarApplyConfiguration {
	return []*corev1ac.EnvVarApplyConfiguration{
		corev1ac.EnvVar().WithName("GOGC").WithValue("400"),
		corev1ac.EnvVar().WithName("GOMEMLIMIT").WithValue(strconv.FormatInt(memoryLimit/10*9, 10)),
	}
}

func containerPort(name string, port int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)
}

func podTemplate(c *v1alpha1.OrderCluster, pool string, start Start) *corev1ac.PodTemplateSpecApplyConfiguration {
	con := container(c, pool)
	spec := corev1ac.PodSpec().
		WithServiceAccountName(serviceAccountName(c, pool)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(terminationGraceSeconds(c)).
		WithSecurityContext(podSecurity())
	spec = spec.WithTopologySpreadConstraints(spread(c, pool)...)
	for key, value := range c.Pool(pool).NodeSelector {
		spec = spec.WithNodeSelector(map[string]string{key: string(value)})
	}
	for _, t := range c.Pool(pool).Tolerations {
		spec = spec.WithTolerations(toleration(t))
	}
	for _, m := range mounts(c, pool, start.ConfigMap) {
		spec = spec.WithVolumes(m.volume)
		con = con.WithVolumeMounts(m.path)
	}
	dress(c, pool, spec, con)
	return corev1ac.PodTemplateSpec().
		WithLabels(podLabels(c, pool)).
		WithAnnotations(annotations(c.Pool(pool).Pod.Annotations)).
		WithAnnotations(map[string]string{ConfigHashAnnotation: start.Hash}).
		WithSpec(spec.WithContainers(con))
}

// spread of a pool's pods: the spec's, or over hosts and zones as well as it goes.
func spread(c *v1alpha1.OrderCluster, pool string) []*corev1ac.TopologySpreadConstraintApplyConfiguration {
	if parts, _ := partsOf(c, pool); len(parts.spread) > 0 {
		return parts.spread
	}
	var out []*corev1ac.TopologySpreadConstraintApplyConfiguration
	for _, key := range []string{corev1.LabelHostname, corev1.LabelTopologyZone} {
		out = append(out, corev1ac.TopologySpreadConstraint().
			WithMaxSkew(1).WithTopologyKey(key).WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(selector(c.Name, pool))))
	}
	return out
}

// toleration as it is applied: without what is not set.
func toleration(t corev1.Toleration) *corev1ac.TolerationApplyConfiguration {
	ac := &corev1ac.TolerationApplyConfiguration{TolerationSeconds: t.TolerationSeconds}
	if t.Key != "" {
		ac = ac.WithKey(t.Key)
	}
	if t.Operator != "" {
		ac = ac.WithOperator(t.Operator)
	}
	if t.Value != "" {
		ac = ac.WithValue(t.Value)
	}
	if t.Effect != "" {
		ac = ac.WithEffect(t.Effect)
	}
	return ac
}
