// Package promotions holds the sales of PromotionEvents that are in files, without Kubernetes: it
// takes the files' manifests as the API server does, follows edits, and runs each sale as the
// operator does, through orderd/sale.
package promotions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

const (
	// followEvery is how often files are looked at.
	followEvery = 300 * time.Millisecond
	// goneAfter is how long a manifest has to be missing until it counts as deleted: editors take a
	// file away for a moment.
	goneAfter = 3 * time.Second
)

// errGone is told of a sale that goes on.
var errGone = errors.New("it is in no file any more; the sale goes on: to end it, put it back with an earlier endTime")

// Options of a Runner; all but Paths have to be set.
type Options struct {
	// Paths are files and folders of manifests. None: the sales of before go on as they were.
	Paths []string
	// State is a folder in which the Runner keeps what it knows of the sales.
	State string
	// Pool is the shop's database, and JetStream where streams and promotions are.
	Pool      *pgxpool.Pool
	JetStream jetstream.JetStream
	Clock     func() time.Time
	// Say tells a person what happens, a line at a time.
	Say func(line string)
}

// Runner holds sales.
type Runner struct {
	o      Options
	schema *Schema
	store  store

	// mu guards what follows.
	mu    sync.Mutex
	sales map[string]*held
	// said is the last complaint about each document or sale, so that each is told once.
	said map[string]string
	// read is what was last read of each document: what did not change is not admitted again.
	read map[string]string
	// missing is since when a sale's manifest has been gone.
	missing map[string]time.Time
}

// New makes a Runner that knows the sales of before.
func New(o Options) (*Runner, error) {
	schema, err := NewSchema()
	if err != nil {
		return nil, err
	}
	r := &Runner{
		o: o, schema: schema, store: store{o.State}, sales: map[string]*held{}, said: map[string]string{},
		read: map[string]string{}, missing: map[string]time.Time{},
	}
	all, err := r.store.load()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		r.sales[p.Name] = newHeld(r, p)
	}
	return r, nil
}

// Run follows the files and holds the sales until ctx ends. A sale that is under way then goes on
// with the next Run.
func (r *Runner) Run(ctx context.Context) error {
	if err := os.MkdirAll(r.o.State, 0o755); err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r.mu.Lock()
	for _, h := range r.sales {
		running.Go(func() { h.run(ctx) })
	}
	r.mu.Unlock()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for _, h := range r.follow(ctx) {
			running.Go(func() { h.run(ctx) })
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// follow takes what changed in the files, and returns the sales that are new.
func (r *Runner) follow(ctx context.Context) []*held {
	if len(r.o.Paths) == 0 {
		return nil
	}
	documents, err := readFiles(r.o.Paths)
	if !r.complain("files", err) {
		return nil
	}
	var added []*held
	names, whole := map[string]string{}, true
	for _, d := range documents {
		if d.err == nil && d.name() != "" {
			if first, twice := names[d.name()]; twice {
				d.err = fmt.Errorf("promotion %s is in %s as well", d.name(), first)
			}
		}
		whole = whole && d.err == nil
		names[d.name()] = d.source
		added = append(added, r.take(ctx, d)...)
	}
	// A manifest that cannot be read may be any sale's: none is taken for deleted.
	if whole {
		r.forget(names)
	}
	return added
}

// complain tells of an error once, and returns whether there is none.
func (r *Runner) complain(about string, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.said, about)
		return true
	}
	if r.said[about] != err.Error() {
		r.said[about] = err.Error()
		r.o.Say(fmt.Sprintf("%s: %v", about, err))
	}
	return false
}

// take admits a document if it changed, and hands it to its sale.
func (r *Runner) take(ctx context.Context, d document) []*held {
	if d.err != nil {
		r.complain(d.source, d.err)
		return nil
	}
	sum := sha256.Sum256([]byte(d.raw))
	digest := hex.EncodeToString(sum[:])
	r.mu.Lock()
	h := r.sales[d.name()]
	known := r.read[d.source] == digest && (h != nil || r.said[d.source] != "")
	r.mu.Unlock()
	if known {
		return nil
	}
	var old *v1alpha1.PromotionEvent
	if h != nil {
		if old = h.known(); !old.DeletionTimestamp.IsZero() {
			r.complain(d.source, fmt.Errorf("the %s of before is still being settled; this one is taken after that", d.name()))
			return nil
		}
	}
	p, err := r.schema.Admit(ctx, d.manifest, old)
	if err == nil && h != nil && !reflect.DeepEqual(old.Spec, p.Spec) {
		err = h.change(old.Status.Phase, func(known *v1alpha1.PromotionEvent) {
			known.Spec = p.Spec
			known.Generation++
		})
		if errors.Is(err, errMoved) {
			// The next look admits it by the phase that it is in now.
			return nil
		}
	}
	r.mu.Lock()
	r.read[d.source] = digest
	r.mu.Unlock()
	if !r.complain(d.source, err) || h != nil {
		return nil
	}
	// In whole seconds, as it is stored and as Kubernetes has it: what pods are told is ordered by it.
	made := metav1.NewTime(r.o.Clock().Truncate(time.Second))
	p.UID, p.Generation, p.CreationTimestamp = types.UID(uuid.NewString()), 1, made
	h = newHeld(r, p)
	if !r.complain(d.source, r.store.save(p)) {
		return nil
	}
	r.mu.Lock()
	r.sales[p.Name] = h
	r.mu.Unlock()
	return []*held{h}
}

// forget takes sales that are in no file any more for deleted, if nothing of them is for sale: not yet,
// or not any more. What is for sale goes on: a mistake in a file must not end it.
func (r *Runner) forget(names map[string]string) {
	now := r.o.Clock()
	r.mu.Lock()
	var gone, there []*held
	for name, h := range r.sales {
		since, noticed := r.missing[name]
		_, listed := names[name]
		switch {
		case listed:
			delete(r.missing, name)
			there = append(there, h)
		case !noticed:
			r.missing[name] = now
		case now.Sub(since) >= goneAfter:
			gone = append(gone, h)
		}
	}
	r.mu.Unlock()
	for _, h := range there {
		r.complain(h.name+"'s manifest", nil)
	}
	for _, h := range gone {
		switch p := h.known(); {
		case !p.DeletionTimestamp.IsZero():
		case slices.Contains([]v1alpha1.PromotionPhase{
			"", v1alpha1.PhaseScheduled, v1alpha1.PhaseProvisioning, v1alpha1.PhaseSettled,
		}, p.Status.Phase):
			at := metav1.NewTime(now)
			err := h.change(p.Status.Phase, func(p *v1alpha1.PromotionEvent) { p.DeletionTimestamp = &at })
			if err == nil {
				h.say("its manifest is gone, and nothing of it is for sale: it is forgotten")
			} else if !errors.Is(err, errMoved) {
				r.complain(h.name+"'s manifest", err)
			}
		default:
			r.complain(h.name+"'s manifest", errGone)
		}
	}
}

// remove forgets a sale that was deleted and is settled.
func (r *Runner) remove(name string) error {
	if err := r.store.remove(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sales, name)
	delete(r.missing, name)
	return nil
}
