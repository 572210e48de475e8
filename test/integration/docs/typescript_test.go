package docs

import (
	"os"
	"os/exec"
	"testing"
)

// TestTypeScript runs the tests of api/ts, which are an app's journey by the generated clients,
// against a real orderd. It needs Node.js.
func TestTypeScript(t *testing.T) {
	command := func(env []string, dir, name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	const folder = "../../../api/ts"
	command(nil, ".", "../../../hack/tools/gen/typescript.sh")
	w := newWorld(t)
	command([]string{
		"ORDERD_URL=" + w.orderd,
		"no_proxy=127.0.0.1",
		"ORDERD_BUYER_TOKEN=" + w.shop.Issuer.Token("tom", "buyer"),
		"ORDERD_STAFF_TOKEN=" + w.shop.Issuer.Token("sam", "catalog"),
	}, folder, "npm", "test", "--silent")
}
