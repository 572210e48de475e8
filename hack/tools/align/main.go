// Command align gives the modules of this repository the same version of whatever they share, the highest that one of
// them asks for. Kubernetes' libraries, for example, are then compiled once for orderd, the API server, Helm and
// CoreDNS instead of once for each, which is a third of a build from nothing. Run it after a dependency has changed:
//
//	go run ./hack/tools/align
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// apart are modules whose programs have nothing large in common with the rest, and that are tested by their makers with
// just the versions that they ask for.
var apart = map[string]bool{"hack/tools/buf": true, "hack/tools/lint": true}

// rounds of raising and tidying: what is raised may ask for more in turn.
const rounds = 10

func main() {
	log.SetFlags(0)
	for range rounds {
		behind, err := findBehind(".")
		if err != nil {
			log.Fatal(err)
		}
		if len(behind) == 0 {
			return
		}
		if err := raise(behind); err != nil {
			log.Fatal(err)
		}
	}
	log.Fatalf("after %d rounds there is still a module behind", rounds)
}

// need is what a go.mod asks for.
type need struct{ folder, module, version string }

func (n need) String() string { return fmt.Sprintf("%s: %s %s", n.folder, n.module, n.version) }

// findBehind returns what go.mod files below root would have to ask for to have what another of them asks for.
func findBehind(root string) ([]need, error) {
	needs, err := readNeeds(root)
	if err != nil {
		return nil, err
	}
	highest := map[string]string{}
	for _, n := range needs {
		if semver.Compare(n.version, highest[n.module]) > 0 {
			highest[n.module] = n.version
		}
	}
	var behind []need
	for _, n := range needs {
		if h := highest[n.module]; n.version != h {
			behind = append(behind, need{n.folder, n.module, h})
		}
	}
	return behind, nil
}

// readNeeds of all go.mod files that are not apart.
func readNeeds(root string) ([]need, error) {
	var needs []need
	for _, pattern := range []string{".", "hack/*", "hack/*/*"} {
		files, err := filepath.Glob(filepath.Join(root, pattern, "go.mod"))
		if err != nil {
			return nil, err
		}
		for _, path := range files {
			folder, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return nil, err
			}
			if apart[filepath.ToSlash(folder)] {
				continue
			}
			read, err := readModule(path, folder)
			if err != nil {
				return nil, err
			}
			needs = append(needs, read...)
		}
	}
	return needs, nil
}

func readModule(path, folder string) ([]need, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := modfile.Parse(path, data, nil)
	if err != nil {
		return nil, err
	}
	var needs []need
	for _, r := range file.Require {
		needs = append(needs, need{folder, r.Mod.Path, r.Mod.Version})
	}
	return needs, nil
}

// raise the versions and tidy the modules.
func raise(behind []need) error {
	edits := map[string][]string{}
	for _, n := range behind {
		log.Println(n)
		edits[n.folder] = append(edits[n.folder], "-require="+n.module+"@"+n.version)
	}
	for folder, flags := range edits {
		for _, args := range [][]string{append([]string{"mod", "edit"}, flags...), {"mod", "tidy"}} {
			cmd := exec.CommandContext(context.Background(), "go", args...)
			cmd.Dir, cmd.Stdout, cmd.Stderr = folder, os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("%s: go %s: %w", folder, args[1], err)
			}
		}
	}
	return nil
}
