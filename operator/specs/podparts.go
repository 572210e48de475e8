package specs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// podParts are what a pool's spec has as Kubernetes writes it.
type podParts struct {
	affinity *corev1ac.AffinityApplyConfiguration
	spread   []*corev1ac.TopologySpreadConstraintApplyConfiguration
	volumes  []*corev1ac.VolumeApplyConfiguration
	env      []*corev1ac.EnvVarApplyConfiguration
}

// CheckPods says which part of a pool's pods cannot be read, before any is applied.
func CheckPods(c *v1alpha1.OrderCluster) error {
	var failed []error
	for _, pool := range Pools() {
		if _, err := partsOf(c, pool); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// partsOf reads them. What cannot be read is left out, and said.
func partsOf(c *v1alpha1.OrderCluster, pool string) (podParts, error) {
	spec := c.Pool(pool).Pod
	var p podParts
	var failed []error
	read := func(part v1alpha1.PodPart, into any, path string) bool {
		decoder := json.NewDecoder(bytes.NewReader(part.Raw))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(into)
		if err != nil {
			failed = append(failed, fmt.Errorf("spec.pools.%s.pod.%s: %w", pool, path, err))
		}
		return err == nil
	}
	if spec.Affinity != nil {
		a := corev1ac.Affinity()
		if read(*spec.Affinity, a, "affinity") {
			p.affinity = a
		}
	}
	for i, part := range spec.TopologySpreadConstraints {
		t := corev1ac.TopologySpreadConstraint()
		if read(part, t, fmt.Sprintf("topologySpreadConstraints[%d]", i)) {
			if t.LabelSelector == nil {
				t.LabelSelector = metav1ac.LabelSelector().WithMatchLabels(selector(c.Name, pool))
			}
			p.spread = append(p.spread, t)
		}
	}
	for i, part := range spec.Volumes {
		v := corev1ac.Volume()
		if read(part, v, fmt.Sprintf("volumes[%d]", i)) {
			p.volumes = append(p.volumes, v)
		}
	}
	for i, e := range spec.Env {
		env := &corev1ac.EnvVarApplyConfiguration{Name: &e.Name, Value: e.Value}
		if e.ValueFrom != nil {
			env.ValueFrom = corev1ac.EnvVarSource()
			if !read(*e.ValueFrom, env.ValueFrom, fmt.Sprintf("env[%d].valueFrom", i)) {
				continue
			}
		}
		p.env = append(p.env, env)
	}
	return p, errors.Join(failed...)
}

// dress gives pods what a pool's spec says of them beside what orderd itself needs.
func dress(c *v1alpha1.OrderCluster, pool string, pod *corev1ac.PodSpecApplyConfiguration,
	con *corev1ac.ContainerApplyConfiguration) {
	spec := c.Pool(pool).Pod
	// What cannot be read is told by CheckPods, and nothing is applied then.
	parts, _ := partsOf(c, pool)
	for _, s := range spec.ImagePullSecrets {
		pod.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(s.Name))
	}
	if spec.ImagePullPolicy != "" {
		con.WithImagePullPolicy(spec.ImagePullPolicy)
	}
	if spec.PriorityClassName != "" {
		pod.WithPriorityClassName(spec.PriorityClassName)
	}
	if spec.RuntimeClassName != "" {
		pod.WithRuntimeClassName(spec.RuntimeClassName)
	}
	if parts.affinity != nil {
		pod.WithAffinity(parts.affinity)
	}
	pod.WithVolumes(parts.volumes...)
	for _, m := range spec.VolumeMounts {
		mount := corev1ac.VolumeMount().WithName(m.Name).WithMountPath(m.MountPath)
		if m.SubPath != "" {
			mount.WithSubPath(m.SubPath)
		}
		if m.ReadOnly != nil {
			mount.WithReadOnly(*m.ReadOnly)
		}
		con.WithVolumeMounts(mount)
	}
	con.Env = override(con.Env, parts.env)
}

// override puts variables in the place of those of the same name, or after all others.
func override(
	have []corev1ac.EnvVarApplyConfiguration, more []*corev1ac.EnvVarApplyConfiguration,
) []corev1ac.EnvVarApplyConfiguration {
	at := map[string]int{}
	for i := range have {
		at[*have[i].Name] = i
	}
	for _, e := range more {
		if i, ok := at[*e.Name]; ok {
			have[i] = *e
			continue
		}
		at[*e.Name] = len(have)
		have = append(have, *e)
	}
	return have
}

// podLabels are a pool's pods' labels: the spec's, and those that the operator finds them by.
func podLabels(c *v1alpha1.OrderCluster, pool string) map[string]string {
	out := map[string]string{}
	for key, value := range c.Pool(pool).Pod.Labels {
		out[key] = string(value)
	}
	maps.Copy(out, labels(c.Name, pool))
	return out
}

func annotations(of map[string]v1alpha1.PodAnnotation) map[string]string {
	out := map[string]string{}
	for key, value := range of {
		out[key] = string(value)
	}
	return out
}

// serviceAccountName is what a pool's pods run as.
func serviceAccountName(c *v1alpha1.OrderCluster, pool string) string {
	if name := c.Pool(pool).Pod.ServiceAccount.Name; name != "" {
		return name
	}
	return PoolName(c.Name, pool)
}
