package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var rowPattern = regexp.MustCompile("^\\| `([A-Z_]+)` \\| `([a-z_]+)` \\|")

// TestEveryReasonIsDocumented compares the reasons that the code makes errors with, and their
// codes, with docs/errors.md, both ways.
func TestEveryReasonIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	onPage := map[pair]bool{}
	for line := range strings.Lines(string(page)) {
		if m := rowPattern.FindStringSubmatch(line); m != nil {
			onPage[pair{reason: m[1], code: strings.ReplaceAll(m[2], "_", "")}] = true
		}
	}
	used, err := reasonsUsed("../../../orderd")
	if err != nil {
		t.Fatal(err)
	}
	usedReasons, pageReasons := map[string]bool{}, map[string]bool{}
	for p := range onPage {
		pageReasons[p.reason] = true
	}
	for p, where := range used {
		usedReasons[p.reason] = true
		if betweenPods[p.reason] {
			continue
		}
		if p.code == "" && !pageReasons[p.reason] || p.code != "" && !onPage[p] {
			t.Errorf("%s: %s/%s is not in docs/errors.md: name it in the comment of the RPCs that can answer it, "+
				"then run make generate", where, p.code,
				p.reason)
		}
	}
	for p := range onPage {
		if !usedReasons[p.reason] {
			t.Errorf("docs/errors.md: no code makes an error with %s", p.reason)
		}
	}
}

// reasonsUsed are the reasons, with the code without underscores in lower case, or none where that
// is not known, of all calls that make an error in the folder's packages, and where that is.
func reasonsUsed(root string) (map[pair]string, error) {
	used := map[pair]string{}
	files := token.NewFileSet()
	constants, err := parseFolder(files, filepath.Join(root, "kit/rpcerr"))
	if err != nil {
		return nil, err
	}
	// Other packages name the constants with their package.
	shared := map[string][]string{}
	for name, values := range stringsOf(constants) {
		shared["rpcerr."+name] = values
	}
	return used, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		parsed, err := parseFolder(files, path)
		if err != nil || len(parsed) == 0 || parsed[0].Name.Name == "rpcerr" {
			return err
		}
		return inPackage(files, parsed, shared, used)
	})
}

// parseFolder reads a package's files, but for its tests.
func parseFolder(files *token.FileSet, folder string) ([]*ast.File, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
	}
	return parsed, nil
}

func inPackage(files *token.FileSet, parsed []*ast.File, shared map[string][]string, used map[pair]string) error {
	values := stringsOf(parsed)
	maps.Copy(values, shared)
	for _, file := range parsed {
		if err := inFile(files, file, values, used); err != nil {
			return err
		}
	}
	return nil
}

func inFile(files *token.FileSet, file *ast.File, values map[string][]string, used map[pair]string) error {
	var failed error
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		code, reason := madeBy(call)
		if reason == nil {
			return true
		}
		where := files.Position(call.Pos()).String()
		found := reasonsIn(reason, values)
		if len(found) == 0 {
			failed = fmt.Errorf("%s: the reason is no constant that this test can read", where)
		}
		for _, reason := range found {
			used[pair{reason: reason, code: code}] = where
		}
		return true
	})
	return failed
}

// madeBy are the code and the argument with the reason of a call that makes an error; nil if it
// makes none. Package refusal makes its errors with a function of its own, whose arguments are fields
// by the time rpcerr gets them.
func madeBy(call *ast.CallExpr) (code string, reason ast.Expr) {
	codeOf := func(arg ast.Expr) string {
		c, ok := arg.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		return strings.ToLower(strings.TrimPrefix(c.Sel.Name, "Code"))
	}
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		if fun.Name == "newRefusal" && len(call.Args) >= 4 {
			return codeOf(call.Args[0]), call.Args[2]
		}
	case *ast.SelectorExpr:
		if of, ok := fun.X.(*ast.Ident); !ok || of.Name != "rpcerr" || len(call.Args) < 2 {
			return "", nil
		}
		if field, ok := call.Args[1].(*ast.SelectorExpr); ok && field.Sel.Name == "reason" {
			return "", nil
		}
		switch fun.Sel.Name {
		case "New", "Retry":
			return codeOf(call.Args[0]), call.Args[1]
		case "WithReason":
			return "", call.Args[1]
		}
	}
	return "", nil
}

// reasonsIn an argument: a literal, a constant of the package or of rpcerr, or what a function of
// the package returns.
func reasonsIn(arg ast.Expr, values map[string][]string) []string {
	switch a := arg.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(a.Value); err == nil {
			return []string{s}
		}
	case *ast.Ident:
		return values[a.Name]
	case *ast.SelectorExpr:
		if of, ok := a.X.(*ast.Ident); ok {
			return values[of.Name+"."+a.Sel.Name]
		}
	case *ast.CallExpr:
		if f, ok := a.Fun.(*ast.Ident); ok {
			return values[f.Name]
		}
	}
	return nil
}

// stringsOf a package: the string constants, and the literals that functions return, by name.
func stringsOf(parsed []*ast.File) map[string][]string {
	values := map[string][]string{}
	for _, file := range parsed {
		for _, d := range file.Decls {
			switch decl := d.(type) {
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.CONST {
						for i, name := range v.Names {
							if i < len(v.Values) {
								values[name.Name] = reasonsIn(v.Values[i], nil)
							}
						}
					}
				}
			case *ast.FuncDecl:
				if decl.Recv != nil {
					continue
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) == 1 {
						if l, ok := r.Results[0].(*ast.BasicLit); ok && l.Kind == token.STRING {
							values[decl.Name.Name] = append(values[decl.Name.Name], reasonsIn(l, nil)...)
						}
					}
					return true
				})
			}
		}
	}
	return values
}
