package streamclient

// pageSize is a power of two.
const pageSize = 1024

// pages have the slot of each unanswered position. Positions come in order, answers do not: a page
// goes when all of it is answered.
type pages struct {
	pages map[uint64]*page
	// last is the page that was used last: answers come in runs.
	last *page
	// written is the page of the newest position.
	written *page
	spare   *page
}

type page struct {
	number uint64
	open   int
	slots  [pageSize]slot
}

// put takes the next position; false if there is no room for its page.
func (p *pages) put(position uint64, s slot) bool {
	number := position / pageSize
	if p.written == nil || p.written.number != number {
		if len(p.pages) >= pagesMax {
			return false
		}
		if p.pages == nil {
			p.pages = map[uint64]*page{}
		}
		if p.written != nil && p.written.open == 0 {
			p.drop(p.written)
		}
		next := p.spare
		if next == nil {
			next = &page{}
		}
		p.spare = nil
		next.number = number
		p.pages[number], p.written = next, next
	}
	p.written.slots[position%pageSize] = s
	p.written.open++
	return true
}

// remove returns the slot of a position; none if there is nothing unanswered.
func (p *pages) remove(position uint64) (slot, bool) {
	number := position / pageSize
	if p.last == nil || p.last.number != number {
		found := p.pages[number]
		if found == nil {
			return slot{}, false
		}
		p.last = found
	}
	at := &p.last.slots[position%pageSize]
	s := *at
	if s.batch == nil {
		return slot{}, false
	}
	*at = slot{}
	p.last.open--
	if p.last.open == 0 && p.last != p.written {
		p.drop(p.last)
	}
	return s, true
}

func (p *pages) drop(done *page) {
	delete(p.pages, done.number)
	p.last, p.spare = nil, done
}

// removeIf removes the slots that match.
func (p *pages) removeIf(match func(slot) bool) []slot {
	var removed []slot
	for _, page := range p.pages {
		for i := range page.slots {
			if s := page.slots[i]; s.batch != nil && match(s) {
				page.slots[i] = slot{}
				page.open--
				removed = append(removed, s)
			}
		}
		if page.open == 0 && page != p.written {
			p.drop(page)
		}
	}
	return removed
}
