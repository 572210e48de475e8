package specs

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// migrationDeadlineSeconds bounds one attempt. A migration that is cut off is
// continued by the next one.
const migrationDeadlineSeconds = 900

// MigrationName names an attempt's Job and ConfigMap.
func MigrationName(cluster, revision string, attempt int) string {
	if attempt == 1 {
		return cluster + "-migrate-" + revision
	}
	return fmt.Sprintf("%s-migrate-%s-%d", cluster, revision, attempt)
}

// MigrationLabels select the migration Jobs and ConfigMaps of an OrderCluster, of all revisions.
func MigrationLabels(cluster string) map[string]string { return labels(cluster, migrateComponent) }

// Migration is one attempt to migrate the database to a revision: a Job, and a ConfigMap of its own,
// because the pools keep theirs until the migration has finished. Its pod has what a worker's has.
func Migration(c *v1alpha1.OrderCluster, config, revision string, attempt int) []runtime.ApplyConfiguration {
	name := MigrationName(c.Name, revision, attempt)
	l := MigrationLabels(c.Name)
	l[RevisionLabel] = revision
	configMap := corev1ac.ConfigMap(name, c.Namespace).
		WithLabels(l).WithOwnerReferences(owner(c)).WithData(map[string]string{configKey: config})

	worker := c.Pool(v1alpha1.PoolWorker)
	con := corev1ac.Container().WithName(migrateComponent).WithImage(c.Spec.Image).
		WithArgs("migrate", "--config="+configPath).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithEnv(trustEnv(c)...).
		WithSecurityContext(containerSecurity())
	spec := corev1ac.PodSpec().
		WithRestartPolicy(corev1.RestartPolicyNever).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithSecurityContext(podSecurity())
	if r := worker.Resources; len(r.Limits)+len(r.Requests) > 0 {
		con = con.WithResources(resources(r))
	}
	for key, value := range worker.NodeSelector {
		spec = spec.WithNodeSelector(map[string]string{key: string(value)})
	}
	for _, t := range worker.Tolerations {
		spec = spec.WithTolerations(toleration(t))
	}
	dress(c, v1alpha1.PoolWorker, spec, con)
	mounts := append(append([]mount{configMount(name)}, trustMounts(c)...), databaseMounts(c)...)
	for _, m := range mounts {
		spec = spec.WithVolumes(m.volume)
		con = con.WithVolumeMounts(m.path)
	}
	job := batchv1ac.Job(name, c.Namespace).
		WithLabels(l).
		WithAnnotations(map[string]string{AttemptAnnotation: strconv.Itoa(attempt)}).
		WithOwnerReferences(owner(c)).
		WithSpec(batchv1ac.JobSpec().
			WithBackoffLimit(2).
			WithActiveDeadlineSeconds(migrationDeadlineSeconds).
			WithTemplate(corev1ac.PodTemplateSpec().WithLabels(l).
				WithAnnotations(annotations(worker.Pod.Annotations)).
				WithSpec(spec.WithContainers(con))))
	return []runtime.ApplyConfiguration{configMap, job}
}
