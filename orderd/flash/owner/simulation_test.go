package owner_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

const (
	// soldOutTTL is how long an item may be said to be sold out after it was.
	soldOutTTL = time.Second
	// staleMax is how far a refusal may be behind the log.
	staleMax = 250 * time.Millisecond
	// aftermath is how long after a storm everything is over that began in it.
	aftermath = 20 * time.Second
	// patience is how long everything may take to be sold, closed or answered in calm weather.
	patience = 5 * time.Minute
)

// simulationSeeds is FIRST:COUNT, for instance 1:50000. Without it a small fixed set runs.
const simulationSeeds = "ORDERD_SIMULATION_SEEDS"

// TestSimulation runs whole sales in virtual time: pods that disagree on who owns what, are paused,
// killed and started again, over a log and a network that delay and lose. An auditor that knows
// only what was asked, what was answered and the log in the end decides.
//
// Another range of seeds: ORDERD_SIMULATION_SEEDS=1:50000 go test -run TestSimulation
// ./orderd/flash/owner
func TestSimulation(t *testing.T) {
	first, count := uint64(1), uint64(150)
	if value := os.Getenv(simulationSeeds); value != "" {
		from, n, _ := strings.Cut(value, ":")
		var err, err2 error
		first, err = strconv.ParseUint(from, 10, 64)
		count, err2 = strconv.ParseUint(n, 10, 64)
		if err != nil || err2 != nil {
			t.Fatalf("%s=%q, want FIRST:COUNT", simulationSeeds, value)
		}
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

// TestSimulationRegressions runs seeds that fail when the owner has the named fault. The first
// three are faults that it had, and the seeds that showed them; what a seed does changes whenever
// the simulation draws otherwise, so that they may meet them no more. The others were tried with
// the fault put back, and failed seven times of eight or more; the fourth one two times of three,
// because few sales meet its fault: the tables and the property of package search meet it always.
func TestSimulationRegressions(t *testing.T) {
	seeds := map[string]uint64{
		"a giver that answers twice is blocked":                     129,
		"a displaced owner refuses from its old memory":             62,
		"sold out though the asker's own shard had some":            743,
		"sold out though stock moved between the rounds":            829,
		"sold out though a release came into the asker's own shard": 1440,
		"sold out from a memory behind the log":                     603,
		"a giver says empty from a memory behind the log":           401,
		"a limit is refused from a memory behind the log":           494,
		"no room though the record was sent":                        1194,
	}
	for name, seed := range seeds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

// world is one simulated sale.
type world struct {
	t          *testing.T
	seed       uint64
	began      time.Time
	partitions int32
	skus       []string
	limit      int64
	// together says that a pod's partitions append together, broadcasts that pods tell each other
	// their levels.
	together, broadcasts bool
	// asked is how many requests of batches have no answer.
	asked   atomic.Int64
	weather *weather
	log     *simLog
	members *members
	pods    []*pod
	history history
	promo   atomic.Pointer[promotion.Promotion]
	ids     owner.OrderIDs
	logger  *slog.Logger
	// background are the processes, buying the buyers.
	background, buying sync.WaitGroup

	mu       sync.Mutex
	requests []request
	failures int
	notes    []line
}

// request is one that a buyer made.
type request struct {
	buyer *buyer
	id    string
}

func simulate(t *testing.T, seed uint64) {
	d := newDice(seed, "world")
	w := &world{
		t: t, seed: seed, began: time.Now(),
		partitions: int32(2 + d.n(3)), skus: []string{"x", "y"}[:1+d.n(2)], limit: int64(2 + d.n(4)),
	}
	w.weather = &weather{dice: newDice(seed, "weather"), rate: []float64{0, 0.02, 0.1, 0.4}[d.n(4)]}
	w.together, w.broadcasts = d.chance(0.5), d.chance(0.3)
	w.log = newSimLog(w.weather)
	w.logger = slog.New(alarm{slog.DiscardHandler, w})
	ids, err := orderid.NewGenerator(make([]byte, orderid.MinKeyBytes), time.Now, newDice(seed, "ids"))
	if err != nil {
		t.Fatal(err)
	}
	w.ids = ids
	stock := w.open(d)
	for i := range 2 + d.n(2) {
		w.pods = append(w.pods, newPod(w, i))
	}
	w.members = newMembers(w, []time.Duration{0, 0, 200 * time.Millisecond, 2 * time.Second}[d.n(4)])
	for _, p := range w.pods {
		p.start()
	}

	addEarly := func(within time.Duration) { w.addStock("early", within) }
	w.storm(d, "first", time.Duration(2+d.n(20))*time.Second, int(2*stock)+d.n(20), addEarly)
	if d.chance(0.7) {
		w.sellOut()
	}
	w.storm(d, "second", time.Duration(2+d.n(6))*time.Second, d.n(20), func(within time.Duration) {
		w.addStock("late", within/2)
		w.close(within / 2)
	})
	w.resolve()

	for _, p := range w.pods {
		p.stop()
	}
	w.background.Wait()
	<-time.After(aftermath)
	w.audit().checkTopUps()
	if left := w.asked.Load(); left != 0 {
		w.fail("%d requests of batches were never answered, or too often", left)
	}
	w.checkLinear()
	if t.Failed() {
		w.logStory()
	}
}

// logStory says what happened, as far as it can be seen from outside.
func (w *world) logStory() {
	var lines []line
	for _, r := range w.log.all() {
		lines = append(lines, line{r.at, fmt.Sprintf("log %d, partition %d: %v", r.sequence, r.partition, r.record)})
	}
	for _, e := range w.history.exchanges {
		n := partition.ForBuyer(e.buyer, w.partitions)
		called := fmt.Sprintf("%s (partition %d) calls: %s %s%s %v", e.buyer, n, e.kind, e.request, e.order, e.items)
		answered := fmt.Sprintf("%s (partition %d) is told: %s %s: order %s %v, refusal %s %s left %d",
			e.buyer, n, e.kind, e.request, e.order, e.outcome, e.reason, e.sku, e.left)
		lines = append(lines, line{e.called, called}, line{e.answered, answered})
	}
	lines = append(lines, w.notes...)
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	for _, l := range lines {
		w.t.Logf("%12s %s", w.since(l.at), l.text)
	}
}

// note something for logStory.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, line{time.Now(), fmt.Sprintf(format, args...)})
}

// line of the story.
type line struct {
	at   time.Time
	text string
}

// open writes the partitions' first records, and returns the stock of all items.
func (w *world) open(d *dice) int64 {
	promo := &flashv1.Promotion{
		Uid: "sale", Name: "sale", Partitions: w.partitions, Open: true, EndUnixMs: 1 << 60, PaymentTimeoutMs: 60_000,
	}
	var items []prepare.Item
	var all int64
	for _, sku := range w.skus {
		promo.Items = append(promo.Items, &flashv1.PromotedItem{Sku: sku, UnitPrice: 5, LimitPerBuyer: w.limit})
		items = append(items, prepare.Item{SKU: sku, Quantity: int64(1 + d.n(12))})
		all += items[len(items)-1].Quantity
	}
	w.promo.Store(promotion.New(promo))
	for n, shards := range prepare.Split(items, w.partitions) {
		opened := &flashv1.Opened{Allocation: "sale"}
		for _, shard := range shards {
			opened.Items = append(opened.Items, &flashv1.ItemQuantity{Sku: shard.SKU, Quantity: shard.Quantity})
		}
		entry := plog.Entry{Partition: int32(n), Record: &flashv1.Record{Kind: &flashv1.Record_Opened{Opened: opened}}}
		if _, err := w.log.land([]plog.Entry{entry}); err != nil {
			w.t.Fatal(err)
		}
	}
	return all
}

// storm has buyers shop in bad weather while meanwhile runs, and returns when all is quiet again.
func (w *world) storm(d *dice, name string, lasts time.Duration, buyers int, meanwhile func(time.Duration)) {
	w.weather.setCalm(false)
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	for i := range buyers {
		b := &buyer{w: w, name: fmt.Sprint(name, "-", i), dice: newDice(w.seed, fmt.Sprint(name, i))}
		w.buying.Go(func() { b.shop(ctx, lasts) })
	}
	w.buying.Go(func() { meanwhile(lasts) })
	w.members.storm(ctx, d)
	w.weather.setCalm(true)
	w.buying.Wait()
	<-time.After(aftermath)
}

// sellOut wants, in calm weather, that buyers who still want something get all there is.
func (w *world) sellOut() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var group sync.WaitGroup
	for n := range w.partitions {
		group.Go(func() { w.buyOut(ctx, n) })
	}
	group.Wait()
	if ctx.Err() != nil {
		w.fail("not everything was sold within %s", patience)
	}
	for sku, levels := range w.audit().available {
		if left := levels[len(levels)-1].quantity; left > 0 {
			w.fail("%d of %s were left though buyers wanted them", left, sku)
		}
	}
}

// sell has all pods know the newest version of the sale.
func (w *world) sell(promo *flashv1.Promotion) {
	w.promo.Store(promotion.New(promo))
	for _, p := range w.pods {
		if process := p.alive(); process != nil {
			process.board.table.SetPromotions(map[string]*promotion.Promotion{"sale": w.promo.Load()})
		}
	}
}

// addStock tops items up at some moments, so that owners learn of it by themselves, and at the
// latest when they are woken.
func (w *world) addStock(name string, within time.Duration) {
	d := newDice(w.seed, "top up "+name)
	for i := range d.n(3) {
		<-time.After(d.between(0, within/2))
		promo := proto.CloneOf(w.promo.Load().Promotion)
		topUp := &flashv1.TopUp{
			Id: fmt.Sprint(name, i), Sku: w.skus[d.n(len(w.skus))], Quantity: int64(1 + d.n(6)),
		}
		promo.TopUps = append(promo.TopUps, topUp)
		w.note("top-up %v", topUp)
		w.sell(promo)
	}
}

// close ends the sale at some moment of the storm, by operators who take turns or work at once.
func (w *world) close(within time.Duration) {
	d := newDice(w.seed, "operator")
	<-time.After(d.between(0, within))
	if d.chance(0.5) {
		ended := proto.CloneOf(w.promo.Load().Promotion)
		ended.EndUnixMs = time.Now().UnixMilli()
		w.sell(ended)
		<-time.After(d.between(0, time.Second))
	}
	var group sync.WaitGroup
	for range 1 + d.n(2) {
		group.Go(func() {
			for {
				ctx, cancel := context.WithTimeout(context.Background(), d.between(time.Second, 10*time.Second))
				_, err := prepare.CloseLogs(ctx, client{w.log, func() {}}, w.promo.Load().Promotion, "operator")
				cancel()
				if err == nil {
					return
				}
				<-time.After(d.between(0, time.Second))
			}
		})
	}
	group.Wait()
}

func (w *world) remember(b *buyer, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, request{b, id})
}

// resolve wants, in calm weather, an answer to what became of every request and every partition.
func (w *world) resolve() {
	var group sync.WaitGroup
	for _, r := range w.requests {
		group.Go(func() {
			e := r.buyer.insist(100, func() exchange { return r.buyer.look(context.Background(), r.id) })
			if e.unknown() {
				w.fail("what became of %s of %s stayed unknown", r.id, r.buyer.name)
			}
			if e.order != "" {
				e = r.buyer.insist(100, func() exchange { return r.buyer.release(context.Background(), e.order) })
				if e.unknown() {
					w.fail("the release of %s stayed unknown", e.order)
				}
			}
		})
	}
	group.Wait()
}

func (w *world) since(t time.Time) time.Duration { return t.Sub(w.began) }

// fail reports the first failures only: the others tend to follow from them.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	w.failures++
	n := w.failures
	w.mu.Unlock()
	if n > 10 {
		return
	}
	w.t.Helper()
	w.t.Errorf("seed %d: "+format, append([]any{w.seed}, args...)...)
}

// alarm fails the simulation when an owner finds its log or its memory broken.
type alarm struct {
	slog.Handler
	w *world
}

func (a alarm) Enabled(context.Context, slog.Level) bool { return true }
func (a alarm) WithAttrs([]slog.Attr) slog.Handler       { return a }
func (a alarm) WithGroup(string) slog.Handler            { return a }

func (a alarm) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(attr slog.Attr) bool {
		err, ok := attr.Value.Any().(error)
		if ok && (errors.Is(err, partition.ErrCorrupt) || errors.Is(err, plog.ErrRewound)) {
			a.w.fail("an owner says %q: %v", r.Message, err)
		}
		return true
	})
	return nil
}
