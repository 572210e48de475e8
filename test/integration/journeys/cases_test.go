package journeys

// cases are small journeys that once failed.
func cases() map[string]func(*journey) {
	return map[string]func(*journey){
		// Its own leases counted as taken, so that nothing in the background went on.
		"a worker that dies and starts again under its name expires orders": func(j *journey) {
			j.must(j.w.worker.kill())
			b, w := j.buyers[0], want{lines: []wanted{{sku: j.skus[0], quantity: 1}}}
			j.expirePlaced(b, w)
		},
	}
}
