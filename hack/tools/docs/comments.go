package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
)

// An RPC's comment may end with a sentence that names its errors:
//
//	Errors: CODE/REASON, REASON or REASON (metadata key, key) words; CODE/REASON; those of Service.Method.
//
// Items of a clause share its code until another is given, and the words that follow them. What
// stands in parentheses behind a reason says what the error carries (metadata, details, field), or
// more about when it comes.

// rpc is one that apps may call.
type rpc struct {
	// name is Service/Method.
	name   string
	method protoreflect.MethodDescriptor
	errors []documented
}

// documented is an error as an RPC's comment has it.
type documented struct {
	code, reason, carries, when string
}

var (
	codes = []string{
		"CANCELED",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"UNAUTHENTICATED",
	}
	itemPattern      = regexp.MustCompile(`^(?:([A-Z_]+)/)?([A-Z][A-Z_]+)\b(?: \(([^()]*)\))?`)
	separatorPattern = regexp.MustCompile(`^(?:,? or |, )`)
	referencePattern = regexp.MustCompile(`^those of ([A-Za-z]+)\.([A-Za-z]+)$`)
	carriesPattern   = regexp.MustCompile(`^(?:metadata|details|detail|field):? `)
	slashPattern     = regexp.MustCompile(`[A-Z]/ ?[A-Z]`)
)

// rpcsOf reads the RPCs and their errors from buf's image.
func rpcsOf(image []byte) ([]rpc, error) {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(image, set); err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	var all []rpc
	references := map[string][]string{}
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				if !proto.HasExtension(method.Options(), accessv1.E_Access) {
					continue
				}
				r := rpc{method: method, name: fmt.Sprintf("%s/%s", service.Name(), method.Name())}
				r.errors, references[r.name], err = parse(file.SourceLocations().ByDescriptor(method).LeadingComments)
				if err != nil {
					err = fmt.Errorf("%s: comment of %s: %w", file.Path(), r.name, err)
					return false
				}
				all = append(all, r)
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b rpc) int { return strings.Compare(a.name, b.name) })
	if len(all) == 0 {
		return nil, fmt.Errorf("the image has no RPC for apps")
	}
	if err := resolve(all, references); err != nil {
		return nil, err
	}
	return all, complete(all)
}

// complete finds comments that leave out what every such RPC answers: a mutation with a request id,
// and a list with pages.
func complete(all []rpc) error {
	for _, r := range all {
		fields := r.method.Input().Fields()
		options, _ := r.method.Options().(*descriptorpb.MethodOptions)
		mutation := options.GetIdempotencyLevel() == descriptorpb.MethodOptions_IDEMPOTENT
		for reason, has := range map[string]bool{
			"REQUEST_ID_REUSED":  mutation && fields.ByName("request_id") != nil,
			"INVALID_PAGE_TOKEN": fields.ByName("page_token") != nil,
		} {
			if has != slices.ContainsFunc(r.errors, func(e documented) bool { return e.reason == reason }) {
				return fmt.Errorf("comment of %s: %s belongs to it, or does not", r.name, reason)
			}
		}
	}
	return nil
}

// resolve adds the errors of the RPCs that comments refer to.
func resolve(all []rpc, references map[string][]string) error {
	for i := range all {
		for _, name := range references[all[i].name] {
			at := slices.IndexFunc(all, func(r rpc) bool { return r.name == name })
			if at < 0 || len(references[name]) > 0 {
				return fmt.Errorf("comment of %s: %s is no RPC with errors of its own", all[i].name, name)
			}
			for _, e := range all[at].errors {
				if !slices.ContainsFunc(all[i].errors,
					func(have documented) bool { return have.code == e.code && have.reason == e.reason }) {
					all[i].errors = append(all[i].errors, e)
				}
			}
		}
	}
	return nil
}

// parse returns the errors in a comment and the RPCs, as Service/Method, whose errors it refers to.
func parse(comment string) ([]documented, []string, error) {
	_, sentence, found := strings.Cut(strings.Join(strings.Fields(comment), " "), "Errors:")
	if !found {
		if slashPattern.MatchString(comment) {
			return nil, nil, fmt.Errorf("an error stands outside of the sentence of errors")
		}
		return nil, nil, nil
	}
	sentence, ended := strings.CutSuffix(strings.TrimSpace(sentence), ".")
	if !ended {
		return nil, nil, fmt.Errorf("the sentence of errors does not end with a full stop")
	}
	var errors []documented
	var references []string
	for clause := range strings.SplitSeq(sentence, ";") {
		clause = strings.TrimSpace(clause)
		if m := referencePattern.FindStringSubmatch(clause); m != nil {
			references = append(references, m[1]+"/"+m[2])
			continue
		}
		items, err := parseClause(clause)
		if err != nil {
			return nil, nil, err
		}
		errors = append(errors, items...)
	}
	return errors, references, nil
}

func parseClause(clause string) ([]documented, error) {
	var items []documented
	code, rest := "", clause
	for {
		m := itemPattern.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q: want CODE/REASON at %q", clause, rest)
		}
		if m[1] != "" {
			code = m[1]
		}
		if !slices.Contains(codes, code) {
			return nil, fmt.Errorf("%q: %q is no code", clause, code)
		}
		item := documented{code: code, reason: m[2]}
		if carriesPattern.MatchString(m[3]) {
			item.carries = m[3]
		} else {
			item.when = m[3]
		}
		items = append(items, item)
		rest = rest[len(m[0]):]
		separator := separatorPattern.FindString(rest)
		if separator == "" || !itemPattern.MatchString(rest[len(separator):]) {
			break
		}
		rest = rest[len(separator):]
	}
	if slashPattern.MatchString(rest) {
		return nil, fmt.Errorf("%q: a semicolon is missing in %q", clause, rest)
	}
	when := strings.TrimSpace(strings.TrimPrefix(rest, ","))
	for i := range items {
		items[i].when = strings.TrimSpace(items[i].when + " " + when)
	}
	return items, nil
}
