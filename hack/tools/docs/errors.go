package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const errorsHead = `# Errors

<!-- Generated from the comments of the RPCs in api/proto and of the reasons in orderd/kit/rpcerr by hack/tools/docs: make generate. -->

An error is a [Connect code](https://connectrpc.com/docs/protocol/#error-codes) with a ` + "`google.rpc.ErrorInfo`" + ` in its details,
whose ` + "`reason`" + ` a program goes by, whose ` + "`domain`" + ` is ` + "`orderd.dev`" + `, and whose ` + "`metadata`" + ` says more. Where a retry
helps, a ` + "`google.rpc.RetryInfo`" + ` says after how long. [Retries](retries.md) has what to do with a code whose reason an app does not know.
`

// pair is an error as apps see it.
type pair struct{ reason, code string }

// row is what all RPCs together say of a pair.
type row struct {
	carries []string
	rpcs    []string
}

// errorsPage is the table of all reasons. What the comments of the RPCs name and what reasons explains,
// but for what no app sees, have to be the same.
func errorsPage(rpcs []rpc, reasons map[string]string) (string, error) {
	rows := map[pair]*row{}
	for _, r := range rpcs {
		for _, e := range r.errors {
			p := pair{reason: e.reason, code: e.code}
			if rows[p] == nil {
				rows[p] = &row{}
			}
			rows[p].add(r.name, e)
		}
	}
	for p := range rows {
		if reasons[p.reason] == "" {
			return "", fmt.Errorf("%s/%s of %s has no constant in %s", p.code, p.reason, rows[p].rpcs[0], reasonsFile)
		}
	}
	for reason := range reasons {
		named := slices.ContainsFunc(slices.Collect(maps.Keys(rows)), func(p pair) bool { return p.reason == reason })
		ofAll := slices.ContainsFunc(general, func(g generalReason) bool { return g.reason == reason })
		if !named && !ofAll && !betweenPods[reason] {
			return "", fmt.Errorf("%s is in %s, and no RPC's comment names it", reason, reasonsFile)
		}
	}
	var b strings.Builder
	b.WriteString(errorsHead)
	b.WriteString("\n## Of every RPC\n\n| reason | code | what it means, and what to do |\n|---|---|---|\n")
	for _, e := range general {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", e.reason, strings.ToLower(e.code), reasons[e.reason])
	}
	b.WriteString(
		"\n## By reason\n\n| reason | code | what it means, and what to do | carries | RPCs |\n|---|---|---|---|---|\n",
	)
	for _, p := range slices.SortedFunc(maps.Keys(rows), comparePairs) {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", p.reason, strings.ToLower(p.code), reasons[p.reason],
			strings.Join(rows[p].carries, "; "), strings.Join(rows[p].rpcs, ", "))
	}
	b.WriteString("\n## By RPC\n\n| RPC | errors |\n|---|---|\n")
	for _, r := range rpcs {
		if len(r.errors) == 0 {
			continue
		}
		var errors []string
		for _, e := range r.errors {
			text := "`" + e.reason + "`"
			if e.when != "" {
				text += " " + e.when
			}
			errors = append(errors, text)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", r.name, strings.Join(errors, "; "))
	}
	return b.String(), nil
}

func (r *row) add(rpc string, e documented) {
	if name := "`" + rpc + "`"; !slices.Contains(r.rpcs, name) {
		r.rpcs = append(r.rpcs, name)
	}
	if e.carries != "" && !slices.Contains(r.carries, e.carries) {
		r.carries = append(r.carries, e.carries)
	}
}

func comparePairs(a, b pair) int {
	if c := strings.Compare(a.reason, b.reason); c != 0 {
		return c
	}
	return strings.Compare(a.code, b.code)
}
