package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	clients    = "../../../api/ts"
	typescript = "../../../hack/tools/gen/typescript.sh"
)

// TestTypeScript runs the tests of api/ts, which are an app's journey by the generated clients,
// against a real orderd. It needs Node.js.
func TestTypeScript(t *testing.T) {
	command(t, ".", nil, typescript, "build")
	w := newWorld(t)
	command(t, clients, []string{
		"ORDERD_URL=" + w.orderd,
		"no_proxy=127.0.0.1",
		"ORDERD_BUYER_TOKEN=" + w.shop.Issuer.Token("tom", "buyer"),
		"ORDERD_STAFF_TOKEN=" + w.shop.Issuer.Token("sam", "catalog"),
	}, "npm", "test", "--silent")
}

// TestTypeScriptPackage installs the package into an empty project as its README says, by what kinds of
// compilers look for it, checks the README's code there, and runs some.
func TestTypeScriptPackage(t *testing.T) {
	command(t, ".", nil, typescript)
	project := t.TempDir()
	write(t, project, "package.json", `{"private": true, "type": "module"}`)
	sh, ts := readmeBlocks(t)
	command(t, project, nil, "npm", append(install(t, sh, pack(t)), "--prefer-offline", "--ignore-scripts", "--silent")...)
	checkInstalled(t, filepath.Join(project, "node_modules/@orderd/api"))

	write(t, project, "readme.ts", ts)
	write(t, project, "consumer.ts", consumer)
	tsc, err := filepath.Abs(filepath.Join(clients, "node_modules/typescript/bin/tsc"))
	if err != nil {
		t.Fatal(err)
	}
	for resolution, module := range map[string]string{"nodenext": "nodenext", "bundler": "esnext"} {
		// The package's own types are checked once.
		write(t, project, "tsconfig.json", fmt.Sprintf(`{"compilerOptions": {"target": "es2022", "module": %q,
			"moduleResolution": %q, "strict": true, "skipLibCheck": %t, "outDir": %q},
			"files": ["readme.ts", "consumer.ts"]}`, module, resolution, resolution == "bundler", resolution))
		command(t, project, nil, "node", tsc)
	}
	got := command(t, project, nil, "node", "nodenext/consumer.js")
	if want := "orderd.order.v1.OrderService: 2 of tea-1 by way of sale/0/0\n"; got != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
}

// consumer is what an app does with the package without a shop.
const consumer = `
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { routeOf } from "@orderd/api/flash/route";
import { GetPromotionResponseSchema } from "@orderd/api/orderd/flash/v1/flash_pb.js";
import { OrderService, PlaceOrderRequestSchema, type PlaceOrderRequest } from "@orderd/api/orderd/order/v1/order_pb";

const sent = create(PlaceOrderRequestSchema, { requestId: "r-1", lines: [{ sku: "tea-1", quantity: 2n }] });
const got: PlaceOrderRequest = fromBinary(PlaceOrderRequestSchema, toBinary(PlaceOrderRequestSchema, sent));
const sale = create(GetPromotionResponseSchema, { partitions: 1, items: [{ sku: "tea-1" }], routes: ["sale/0/0"] });
const [{ sku, quantity }] = got.lines;
console.log(OrderService.typeName + ": " + quantity + " of " + sku + " by way of " + routeOf(sale, "alice", sku));
`

// pack makes the package's archive of a copy of its folder, because other tests use what is built in the
// folder itself. It returns the archive's path.
func pack(t *testing.T) string {
	t.Helper()
	folder, archives := t.TempDir(), t.TempDir()
	for _, name := range []string{"flash", "gen", "test"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join(clients, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"LICENSE", "README.md", "package.json", "tsconfig.json"} {
		write(t, folder, name, read(t, filepath.Join(clients, name)))
	}
	installed, err := filepath.Abs(filepath.Join(clients, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(installed, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	command(t, folder, nil, "npm", "pack", "--silent", "--pack-destination", archives)
	found, err := filepath.Glob(filepath.Join(archives, "*.tgz"))
	if err != nil || len(found) != 1 {
		t.Fatalf("npm pack made %v, %v", found, err)
	}
	return found[0]
}

// readmeBlocks are the first lines for a shell in the package's README, and its code put together.
func readmeBlocks(t *testing.T) (sh, ts string) {
	t.Helper()
	fences := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	for _, fence := range fences.FindAllStringSubmatch(read(t, filepath.Join(clients, "README.md")), -1) {
		switch {
		case fence[1] == "ts":
			ts += fence[2]
		case fence[1] == "sh" && sh == "":
			sh = fence[2]
		default:
			t.Fatalf("nobody tries this block of the README: %s", fence[0])
		}
	}
	return sh, ts
}

// manifest is what the tests ask of a package.json.
type manifest struct {
	Name, Version   string
	DevDependencies map[string]string
}

func readManifest(t *testing.T, folder string) manifest {
	t.Helper()
	var m manifest
	if err := json.Unmarshal([]byte(read(t, filepath.Join(folder, "package.json"))), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// install returns npm's arguments for the README's line: the archive stands for the package, and the
// others come in the versions that api/ts is tested with. Those for Node.js are beside them.
func install(t *testing.T, line, archive string) []string {
	t.Helper()
	m := readManifest(t, clients)
	words := strings.Fields(line)
	if len(words) < 3 || words[0] != "npm" || words[1] != "install" {
		t.Fatalf("the README installs with %q", line)
	}
	args := words[1:2]
	for _, word := range append(words[2:], "@connectrpc/connect-node", "@types/node") {
		version, known := m.DevDependencies[word]
		switch {
		case word == m.Name:
			args = append(args, archive)
		case known:
			args = append(args, word+"@"+version)
		default:
			t.Fatalf("api/ts is not tested with %s, which its README installs", word)
		}
	}
	return args
}

// checkInstalled looks at what the archive has.
func checkInstalled(t *testing.T, folder string) {
	t.Helper()
	if diff := cmp.Diff(read(t, "../../../LICENSE"), read(t, filepath.Join(folder, "LICENSE"))); diff != "" {
		t.Errorf("its licence is not the repository's: %s", diff)
	}
	for _, name := range []string{"dist/test", "gen", "test"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			t.Errorf("%s is in the archive", name)
		}
	}
	// hack/version.sh holds the chart to the tags.
	version := readManifest(t, folder).Version
	if chart := read(t, "../../../charts/orderd/Chart.yaml"); !strings.Contains(chart, "\nappVersion: "+version+"\n") {
		t.Errorf("the package is of version %s, the chart is not: they are released together", version)
	}
}

// command runs a command in a folder to its end, and returns what it printed.
func command(t *testing.T, folder string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
