package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"

	"github.com/orderd-dev/orderd/orderd/kit/peerauth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// reasonsFile has the reasons as constants, whose comments say what they mean.
const reasonsFile = "orderd/kit/rpcerr/reasons.go"

// generalReason is one that any RPC can answer with.
type generalReason struct{ reason, code string }

// general are the reasons that no RPC's comment has to name.
var general = []generalReason{
	{rpcerr.ReasonTokenMissing, "UNAUTHENTICATED"},
	{rpcerr.ReasonTokenInvalid, "UNAUTHENTICATED"},
	{rpcerr.ReasonTokenExpired, "UNAUTHENTICATED"},
	{rpcerr.ReasonKeysUnavailable, "UNAVAILABLE"},
	{rpcerr.ReasonRoleMissing, "PERMISSION_DENIED"},
	{rpcerr.ReasonOtherBuyer, "PERMISSION_DENIED"},
	{rpcerr.ReasonRateLimited, "RESOURCE_EXHAUSTED"},
	{rpcerr.ReasonOverloaded, "UNAVAILABLE"},
	{rpcerr.ReasonInvalidRequest, "INVALID_ARGUMENT"},
	{rpcerr.ReasonUnknownField, "INVALID_ARGUMENT"},
	{rpcerr.ReasonRequestTooLarge, "RESOURCE_EXHAUSTED"},
	{rpcerr.ReasonUnimplemented, "UNIMPLEMENTED"},
	{rpcerr.ReasonDatabaseUnavailable, "UNAVAILABLE"},
	{rpcerr.ReasonOrderNotReady, "UNAVAILABLE"},
	{rpcerr.ReasonDeadlineExceeded, "DEADLINE_EXCEEDED"},
	{rpcerr.ReasonCanceled, "CANCELED"},
	{rpcerr.ReasonInternal, "INTERNAL"},
}

// betweenPods are reasons that only orderd's own pods see.
var betweenPods = map[string]bool{rpcerr.ReasonNotOwner: true, peerauth.ReasonUnknown: true}

// readReasons reads what each reason means from the comments of its constant.
func readReasons(path string) (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	meanings := map[string]string{}
	for _, d := range file.Decls {
		consts, ok := d.(*ast.GenDecl)
		if !ok || consts.Tok != token.CONST {
			continue
		}
		for _, spec := range consts.Specs {
			c, ok := spec.(*ast.ValueSpec)
			if !ok || len(c.Values) != 1 {
				continue
			}
			literal, ok := c.Values[0].(*ast.BasicLit)
			if !ok {
				continue
			}
			reason, err := strconv.Unquote(literal.Value)
			if err != nil {
				return nil, err
			}
			name, meaning, ok := strings.Cut(strings.Join(strings.Fields(c.Doc.Text()), " "), ": ")
			if !ok || name != c.Names[0].Name {
				return nil, fmt.Errorf("%s: the comment of %s has to be its name, a colon and its meaning", path, c.Names[0].Name)
			}
			meanings[reason] = meaning
		}
	}
	return meanings, nil
}
