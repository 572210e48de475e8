package auth

import (
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
)

// Policy is who may call an RPC, from its options.
type Policy struct {
	// Roles of which the caller needs one.
	Roles Roles
	// Public RPCs need no token.
	Public bool
	// Mutation is true of everything but NO_SIDE_EFFECTS.
	Mutation bool
	// Personal: it answers personal data of buyers.
	Personal bool
	// MaxAge is how long any cache may keep an answer by GET; 0: none may.
	MaxAge time.Duration
	// buyerID is the request's top-level string field of that name; nil if it has none.
	buyerID protoreflect.FieldDescriptor
}

const buyerIDField = "buyer_id"

// PolicyOf an RPC. Without the option access, or with one that names nobody, it lets nobody in.
func PolicyOf(method protoreflect.MethodDescriptor) Policy {
	p := Policy{Mutation: true}
	if options, ok := method.Options().(*descriptorpb.MethodOptions); ok {
		p.Mutation = options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
	}
	if access, ok := proto.GetExtension(method.Options(), accessv1.E_Access).(*accessv1.Access); ok {
		p.Roles, p.Public, p.Personal = RolesOf(access.GetRoles()...), access.GetPublic(), access.GetPersonal()
		p.MaxAge = time.Duration(access.GetMaxAgeSeconds()) * time.Second
	}
	field := method.Input().Fields().ByName(buyerIDField)
	if field != nil && field.Kind() == protoreflect.StringKind && field.Cardinality() != protoreflect.Repeated {
		p.buyerID = field
	}
	return p
}

// NamesBuyer tells whether requests have a buyer_id, which a buyer can only fill with themselves.
func (p Policy) NamesBuyer() bool { return p.buyerID != nil }

// policies remembers what PolicyOf says, by procedure: as many as are registered.
type policies struct{ known sync.Map }

func (p *policies) of(spec connect.Spec) Policy {
	if known, ok := p.known.Load(spec.Procedure); ok {
		return known.(Policy)
	}
	method, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if !ok {
		return Policy{Mutation: true}
	}
	policy := PolicyOf(method)
	p.known.Store(spec.Procedure, policy)
	return policy
}
