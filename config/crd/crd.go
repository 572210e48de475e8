// Package crd has the definitions of the custom resources, as they are installed in Kubernetes.
package crd

import _ "embed"

// PromotionEvents is the CustomResourceDefinition of PromotionEvents, as YAML.
//
//go:embed orderd.dev_promotionevents.yaml
var PromotionEvents []byte
