package linear

import (
	"maps"

	"github.com/anishathalye/porcupine"
)

// state of a partition. Never changed once made.
type state struct {
	orders map[key]order
	// sold are units by SKU, net of releases.
	sold map[string]int64
}

type key struct{ buyer, request string }

// order that was accepted; its id is empty until an answer tells it.
type order struct {
	id       string
	items    map[string]int64
	released bool
}

// Model of the partition: inputs are *Operation, outputs nil.
func (r Rules) Model() porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{}} },
		Step: func(s, input, _ any) []any {
			var next []any
			for _, n := range r.step(s.(state), input.(*Operation)) {
				next = append(next, n)
			}
			return next
		},
		Equal: func(a, b any) bool { return a.(state).equal(b.(state)) },
	}
	if r.Stock == nil {
		model.Partition = byBuyer
	}
	return model.ToModel()
}

func byBuyer(history []porcupine.Operation) [][]porcupine.Operation {
	index := map[string]int{}
	var parts [][]porcupine.Operation
	for _, o := range history {
		buyer := o.Input.(*Operation).Buyer
		i, ok := index[buyer]
		if !ok {
			i = len(parts)
			index[buyer] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], o)
	}
	return parts
}

func (s state) equal(other state) bool {
	return maps.EqualFunc(s.orders, other.orders, func(a, b order) bool {
		return a.id == b.id && a.released == b.released && maps.Equal(a.items, b.items)
	})
}

// step has the states that the partition may be in after the call; none: it could not have been
// answered so.
func (r Rules) step(s state, o *Operation) []state {
	switch o.Kind {
	case Place:
		return r.place(s, o)
	case Lookup:
		known, ok := s.orders[key{o.Buyer, o.Request}]
		if o.Outcome == NotFound {
			return unless(ok, s)
		}
		if !ok {
			return nil
		}
		return r.told(s, o, known)
	default:
		return s.release(o)
	}
}

func (r Rules) place(s state, o *Operation) []state {
	known, ok := s.orders[key{o.Buyer, o.Request}]
	switch o.Outcome {
	case Unknown:
		if ok || !r.allows(s, o) {
			return []state{s}
		}
		return []state{s, s.with(key{o.Buyer, o.Request}, order{id: o.Order, items: o.Items})}
	case Accepted:
		switch {
		case ok && maps.Equal(known.items, o.Items):
			return r.told(s, o, known)
		case ok, o.Released, !r.allows(s, o):
			return nil
		}
		return []state{s.with(key{o.Buyer, o.Request}, order{id: o.Order, items: o.Items})}
	case Reused:
		return unless(!ok || maps.Equal(known.items, o.Items), s)
	case OverLimit:
		return unless(ok || s.held(o.Buyer, o.SKU)+o.Items[o.SKU] <= r.Limits[o.SKU] || r.Limits[o.SKU] == 0, s)
	case SoldOut:
		return unless(ok || r.Stock != nil && s.sold[o.SKU]+o.Items[o.SKU] <= r.Stock[o.SKU], s)
	default:
		return unless(ok, s)
	}
}

// allows says whether the partition may accept a new request.
func (r Rules) allows(s state, o *Operation) bool {
	for sku, quantity := range o.Items {
		if limit := r.Limits[sku]; limit > 0 && s.held(o.Buyer, sku)+quantity > limit {
			return false
		}
		if r.Stock != nil && s.sold[sku]+quantity > r.Stock[sku] {
			return false
		}
	}
	return true
}

// told is the state after an answer that has the order: the first one tells its id.
func (r Rules) told(s state, o *Operation, known order) []state {
	if o.Released && !known.released || r.SeeReleases && known.released && !o.Released || known.id != "" &&
		known.id != o.Order {
		return nil
	}
	if known.id == o.Order {
		return []state{s}
	}
	known.id = o.Order
	next := s.with(key{o.Buyer, o.Request}, known)
	next.sold = s.sold
	return []state{next}
}

func (s state) release(o *Operation) []state {
	for k, known := range s.orders {
		if k.buyer != o.Buyer || known.id != o.Order {
			continue
		}
		switch {
		case o.Outcome == NotFound:
			return nil
		case known.released:
			return []state{s}
		}
		known.released = true
		next := s.with(k, known)
		next.sold = maps.Clone(s.sold)
		for sku, quantity := range known.items {
			next.sold[sku] -= quantity
		}
		if o.Outcome == Unknown {
			return []state{s, next}
		}
		return []state{next}
	}
	return unless(o.Outcome == Accepted, s)
}

// with an order more, or changed. A new one is sold.
func (s state) with(k key, changed order) state {
	next := state{orders: maps.Clone(s.orders), sold: maps.Clone(s.sold)}
	if next.orders == nil {
		next.orders, next.sold = map[key]order{}, map[string]int64{}
	}
	if _, had := next.orders[k]; !had {
		for sku, quantity := range changed.items {
			next.sold[sku] += quantity
		}
	}
	next.orders[k] = changed
	return next
}

// held is how many units of a SKU the buyer has.
func (s state) held(buyer, sku string) int64 {
	var sum int64
	for k, o := range s.orders {
		if k.buyer == buyer && !o.released {
			sum += o.items[sku]
		}
	}
	return sum
}

func unless(wrong bool, s state) []state {
	if wrong {
		return nil
	}
	return []state{s}
}
