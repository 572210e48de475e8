package promotions

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/config/crd"
)

const kind = "PromotionEvent"

// Schema checks PromotionEvents as Kubernetes does, by the same definition, rules and code, so that
// the messages are the same too.
type Schema struct {
	structural *structuralschema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

// NewSchema reads the definition that is installed in Kubernetes.
func NewSchema() (*Schema, error) {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(crd.PromotionEvents, definition); err != nil {
		return nil, fmt.Errorf("reading the definition of %s: %w", kind, err)
	}
	props := &apiextensions.JSONSchemaProps{}
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		definition.Spec.Versions[0].Schema.OpenAPIV3Schema, props, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
	}
	s := &Schema{}
	if s.structural, err = structuralschema.NewStructural(props); err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
	}
	if s.validator, _, err = validation.NewSchemaValidator(props); err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
	}
	s.rules = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	return s, nil
}

// Admit returns the PromotionEvent of a manifest, with its defaults, or what Kubernetes would answer
// to kubectl instead. Old is what there is by that name, nil if nothing; status and uid are its.
func (s *Schema) Admit(
	ctx context.Context, manifest map[string]any, old *v1alpha1.PromotionEvent,
) (*v1alpha1.PromotionEvent, error) {
	if err := s.coerce(manifest); err != nil {
		return nil, err
	}
	before, err := s.continues(manifest, old)
	if err != nil {
		return nil, err
	}
	defaulting.Default(manifest, s.structural)
	if errs := s.check(ctx, manifest, before); len(errs) > 0 {
		return nil, apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind(kind).GroupKind(), nameOf(manifest), errs)
	}
	p := &v1alpha1.PromotionEvent{}
	if err := convert(manifest, p); err != nil {
		return nil, fmt.Errorf("reading the %s: %w", kind, err)
	}
	return p, nil
}

// coerce refuses a manifest with fields that are not known.
func (s *Schema) coerce(manifest map[string]any) error {
	malformed, unknown := objectmeta.CoerceWithOptions(nil, manifest, s.structural, true,
		objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	if malformed != nil {
		return cannotBeHandled(malformed)
	}
	unknown = append(unknown, pruning.PruneWithOptions(manifest, s.structural, true,
		structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	if len(unknown) == 0 {
		return nil
	}
	var errs []error
	for _, path := range unknown {
		errs = append(errs, fmt.Errorf("unknown field %q", path))
	}
	return cannotBeHandled(runtime.NewStrictDecodingError(errs))
}

func cannotBeHandled(err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %s",
		kind, v1alpha1.GroupVersion.Version, kind, err))
}

// continues gives a manifest what only the one that is there has, and returns that as a manifest.
func (s *Schema) continues(manifest map[string]any, old *v1alpha1.PromotionEvent) (map[string]any, error) {
	delete(manifest, "status")
	if meta, ok := manifest["metadata"].(map[string]any); ok && meta["namespace"] == nil {
		meta["namespace"] = metav1.NamespaceDefault
	}
	if old == nil {
		return nil, nil
	}
	var before map[string]any
	if err := convert(old, &before); err != nil {
		return nil, fmt.Errorf("reading the %s that is there: %w", kind, err)
	}
	if status, ok := before["status"]; ok {
		manifest["status"] = status
	}
	return before, nil
}

// check does what Kubernetes does after defaulting, in its order.
func (s *Schema) check(ctx context.Context, manifest, before map[string]any) field.ErrorList {
	meta, _, err := objectmeta.GetObjectMeta(manifest, false)
	if err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("metadata"), nil, err.Error())}
	}
	errs := metavalidation.ValidateObjectMeta(meta, true, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if before == nil {
		errs = append(errs, validation.ValidateCustomResource(nil, manifest, s.validator)...)
	} else {
		errs = append(errs, validation.ValidateCustomResourceUpdate(nil, manifest, before, s.validator)...)
	}
	errs = append(errs, objectmeta.Validate(ctx, nil, manifest, s.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, manifest)...)
	if blocking(errs) {
		return append(errs, field.Invalid(nil, nil, "some validation rules were not checked because the object was invalid; "+
			"correct the existing errors to complete validation"))
	}
	var old any
	if before != nil {
		old = before
	}
	broken, _ := s.rules.Validate(ctx, nil, s.structural, manifest, old, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

// blocking tells whether a manifest's shape is not even such that the rules could look at it.
func blocking(errs field.ErrorList) bool {
	for _, err := range errs {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany,
			field.ErrorTypeTypeInvalid:
			return true
		default:
		}
	}
	return false
}

// convert between a manifest and its type. Whole numbers stay whole.
func convert(from, to any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return kubejson.Unmarshal(raw, to)
}
