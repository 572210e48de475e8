package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orderd-dev/orderd/hack/demo/plan"
)

const (
	// trust is the ConfigMap with the authority that the samples' certificates are of, and trustDir where pods have it.
	trust, trustDir = "company-ca", "/etc/trust"
	publicDir       = "/etc/ssl/certs"
)

// RunPod runs the demo's image as a Job of one pod with the plan, gives every line it writes to each,
// and returns when it has ended. It fails if the pod does, or takes longer than the limit.
func (k Kube) RunPod(ctx context.Context, name, image, command string, p plan.Plan, limit time.Duration,
	each func(plan.Line)) error {
	if err := k.StartPod(ctx, name, image, command, p, limit); err != nil {
		return err
	}
	return k.ReadPod(ctx, name, limit, each)
}

// StartPod is the first half of RunPod.
func (k Kube) StartPod(ctx context.Context, name, image, command string, p plan.Plan, limit time.Duration) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	if _, err := k.Run(ctx, "delete", "job/"+name, "--ignore-not-found", "--cascade=foreground"); err != nil {
		return err
	}
	manifest, err := Manifest(k.job(name, image, []string{command, "--plan=" + string(raw)}, limit))
	if err != nil {
		return err
	}
	return k.Apply(ctx, manifest)
}

// ReadPod is the second half of RunPod.
func (k Kube) ReadPod(ctx context.Context, name string, limit time.Duration, each func(plan.Line)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reader, writer := io.Pipe()
	read := make(chan error, 1)
	go func() { read <- readLines(reader, each) }()
	err := k.Follow(ctx, "job/"+name, writer)
	_ = writer.Close() // Never fails.
	if rerr := <-read; err == nil && rerr != nil {
		err = rerr
	}
	if err != nil {
		return fmt.Errorf("following pod %s: %w", name, err)
	}
	return k.succeeded(ctx, name)
}

// succeeded waits until the Job knows how its pod ended, which is soon after the log did.
func (k Kube) succeeded(ctx context.Context, name string) error {
	for {
		job := &batchv1.Job{}
		if err := k.Get(ctx, "job/"+name, job); err != nil {
			return err
		}
		switch {
		case job.Status.Succeeded > 0:
			return nil
		case job.Status.Failed > 0:
			tail, err := k.Run(ctx, "logs", "--tail=3", "job/"+name)
			return errors.Join(fmt.Errorf("pod %s failed: %s", name, tail), err)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting for pod %s to end: %w", name, ctx.Err())
		}
	}
}

// readLines passes on what is one of the demo's lines and leaves out the rest.
func readLines(in io.Reader, each func(plan.Line)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line plan.Line
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			each(line)
		}
	}
	return lines.Err()
}

// job is a pod without rights: it talks to the Services and to nothing else.
func (k Kube) job(name, image string, args []string, limit time.Duration) *batchv1.Job {
	yes, no, never := true, false, int32(0)
	deadline := int64(limit.Seconds())
	labels := map[string]string{"app.kubernetes.io/name": "orderd-demo", "app.kubernetes.io/instance": name}
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit:          &never,
			ActiveDeadlineSeconds: &deadline,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy:                corev1.RestartPolicyNever,
					AutomountServiceAccountToken: &no,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Volumes: []corev1.Volume{{Name: trust, VolumeSource: corev1.VolumeSource{
						ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: trust}},
					}}},
					Containers: []corev1.Container{{
						Name: "demo", Image: image, Args: args, ImagePullPolicy: corev1.PullIfNotPresent,
						Env:          []corev1.EnvVar{{Name: "SSL_CERT_DIR", Value: publicDir + ":" + trustDir}},
						VolumeMounts: []corev1.VolumeMount{{Name: trust, MountPath: trustDir, ReadOnly: true}},
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
							Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				},
			},
		},
	}
}
