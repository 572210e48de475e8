// Package kube runs kubectl and helm the way the README has a user run them.
package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Kube is one cluster and one namespace in it.
type Kube struct {
	// Kubectl and Helm are the programs.
	Kubectl, Helm string
	// Kubeconfig file; empty: kubectl's default.
	Kubeconfig string
	// Namespace; empty: the kubeconfig's.
	Namespace string
}

// commandTimeout bounds every command that does not bring its own time limit.
const commandTimeout = 5 * time.Minute

// Run runs kubectl and returns its standard output. The error has what it wrote to standard error.
func (k Kube) Run(ctx context.Context, args ...string) (string, error) {
	return k.run(ctx, nil, k.Kubectl, args)
}

// Apply applies the manifests, which may be several YAML documents.
func (k Kube) Apply(ctx context.Context, manifests []byte) error {
	_, err := k.run(ctx, bytes.NewReader(manifests), k.Kubectl, []string{
		"apply", "--server-side", "--force-conflicts", "-f", "-",
	})
	return err
}

// Kustomize returns what a kustomize folder makes.
func (k Kube) Kustomize(ctx context.Context, dir string) ([]*unstructured.Unstructured, error) {
	raw, err := k.Run(ctx, "kustomize", dir)
	if err != nil {
		return nil, err
	}
	objects, err := parse([]byte(raw))
	if err != nil {
		return nil, fmt.Errorf("parsing what %s makes: %w", dir, err)
	}
	return objects, nil
}

// HelmRun runs helm.
func (k Kube) HelmRun(ctx context.Context, args ...string) (string, error) {
	return k.run(ctx, nil, k.Helm, args)
}

// Get reads one object, named as TYPE/NAME.
func (k Kube) Get(ctx context.Context, name string, into any) error {
	raw, err := k.Run(ctx, "get", name, "-o", "json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(raw), into); err != nil {
		return fmt.Errorf("decoding %s: %w", name, err)
	}
	return nil
}

// Wait waits for a condition, as kubectl wait has it: condition=Ready, delete, jsonpath=….
func (k Kube) Wait(ctx context.Context, name, condition string, timeout time.Duration) error {
	_, err := k.Run(ctx, "wait", name, "--for="+condition, "--timeout="+timeout.String())
	return err
}

// Follow waits until a pod or job has started and copies its log to the writer until it ends.
func (k Kube) Follow(ctx context.Context, name string, out io.Writer) error {
	for {
		cmd := k.command(ctx, k.Kubectl, []string{"logs", "--follow", "--pod-running-timeout=2m", name})
		cmd.Stdout = out
		err := finish(cmd)
		if err == nil || !strings.Contains(err.Error(), "waiting to start") {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// Watch gives every version of an object to each until the context ends.
func (k Kube) Watch(ctx context.Context, name string, each func(raw json.RawMessage)) {
	for ctx.Err() == nil {
		reader, writer := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for versions := json.NewDecoder(reader); ; {
				var raw json.RawMessage
				if versions.Decode(&raw) != nil {
					_ = reader.Close() // Never fails.
					return
				}
				each(raw)
			}
		}()
		cmd := k.command(ctx, k.Kubectl, []string{"get", name, "--watch", "-o", "json"})
		cmd.Stdout = writer
		_ = finish(cmd) // A watch ends now and then, and begins again.
		_ = writer.Close()
		<-done
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (k Kube) run(ctx context.Context, stdin io.Reader, program string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := k.command(ctx, program, args)
	cmd.Stdin = stdin
	var out bytes.Buffer
	cmd.Stdout = &out
	err := finish(cmd)
	return out.String(), err
}

func (k Kube) command(ctx context.Context, program string, args []string) *exec.Cmd {
	if k.Namespace != "" {
		args = append([]string{"--namespace", k.Namespace}, args...)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = os.Environ()
	if k.Kubeconfig != "" {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+k.Kubeconfig)
	}
	// Ends as a user's Ctrl-C would end it.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Error is a command that failed.
type Error struct {
	Command string
	Output  string
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v: %s", e.Command, e.Err, e.Output) }
func (e *Error) Unwrap() error { return e.Err }

// IsNotFound says that the API server does not have the object.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && strings.Contains(e.Output, "(NotFound)")
}

func finish(cmd *exec.Cmd) error {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return &Error{Command: strings.Join(cmd.Args, " "), Output: strings.TrimSpace(stderr.String()), Err: err}
	}
	return nil
}
