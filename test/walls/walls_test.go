package walls

import (
	"fmt"
	"slices"
	"strings"
)

const module = "github.com/orderd-dev/orderd"

// pkg is a package as `go list` has it.
type pkg struct {
	ImportPath string
	// Imports are those of what is built, without tests.
	Imports []string
	// TestImports and XTestImports are those of the tests inside the package and beside it.
	TestImports, XTestImports []string
}

// local is the package's name inside the module, and whether it is in it.
func local(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

// in says whether a name is one of those that the pattern stands for.
func in(pattern, name string) bool {
	if folder, all := strings.CutSuffix(pattern, "/..."); all {
		return name == folder || strings.HasPrefix(name, folder+"/")
	}
	return name == pattern
}

func inAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return in(p, name) })
}

// broken lists every import that goes through a wall.
func broken(all []pkg) []string {
	var found []string
	for _, p := range all {
		name, ours := local(p.ImportPath)
		if !ours {
			continue
		}
		for _, imported := range p.Imports {
			if to, ours := local(imported); ours {
				found = append(found, brokenBy(name, to)...)
			}
		}
		// Tests may use what they like, but an operator is nobody's helper.
		if in("operator/...", name) || in("test/...", name) {
			continue
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if to, ours := local(imported); ours && in("operator/...", to) {
				found = append(found, fmt.Sprintf("a test of %s imports %s", name, to))
			}
		}
	}
	return append(found, reaches(all)...)
}

// brokenBy lists the walls between two packages, of which the first imports the second.
func brokenBy(from, to string) []string {
	var found []string
	for _, r := range rooms {
		if !in(r.name, from) || in(r.name, to) {
			continue
		}
		if !inAny(r.may, to) || inAny(r.except, to) {
			found = append(found, fmt.Sprintf("%s imports %s: %s may import %s", from, to, r.name, r.allowed()))
		}
	}
	for _, p := range private {
		if in(p.name, to) && !in(p.name, from) && !inAny(p.by, from) {
			found = append(found, fmt.Sprintf("%s imports %s: only %s may import %s", from, to, only(p.by), p.name))
		}
	}
	return found
}

func (r room) allowed() string {
	text := "only " + strings.Join(append([]string{"itself"}, r.may...), ", ")
	if len(r.except) > 0 {
		text += " without " + strings.Join(r.except, ", ")
	}
	return text
}

func only(by []string) string {
	if len(by) == 0 {
		return "a _test file or itself"
	}
	return strings.Join(by, ", ")
}

// reaches lists the ways to what must not be reached, one for each package and each thing.
func reaches(all []pkg) []string {
	imports := map[string][]string{}
	for _, p := range all {
		imports[p.ImportPath] = p.Imports
	}
	var found []string
	for _, p := range all {
		name, ours := local(p.ImportPath)
		if !ours {
			continue
		}
		for _, u := range unreachable {
			if !in(u.from, name) {
				continue
			}
			if way := wayTo(imports, p.ImportPath, u.to); way != nil {
				found = append(found, fmt.Sprintf("%s reaches what %s must not: %s", name, u.from, strings.Join(way, " → ")))
			}
		}
	}
	return found
}

// wayTo is the shortest chain of imports from a package to one of the others, or nil.
func wayTo(imports map[string][]string, from string, to []string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range imports[queue[0]] {
			if _, seen := before[next]; seen {
				continue
			}
			before[next] = queue[0]
			if !inAny(to, next) {
				queue = append(queue, next)
				continue
			}
			var way []string
			for at := next; at != ""; at = before[at] {
				way = append(way, at)
			}
			slices.Reverse(way)
			return way
		}
	}
	return nil
}
