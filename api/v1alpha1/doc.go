// Package v1alpha1 holds orderd's custom resources: OrderCluster, one running order platform, and
// PromotionEvent, one sale in it. Types are data only; what can be asked of them is in the
// *_funcs.go files.
//
// +kubebuilder:object:generate=true
// +groupName=orderd.dev
package v1alpha1
