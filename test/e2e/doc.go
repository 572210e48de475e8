// Package e2e tests orderd on a real cluster: the demo's path with pods and the operator killed
// during the sale, resources and requests that must be refused. `make e2e` prepares the cluster and
// runs it; its files have the build tag e2e, because they need that cluster.
package e2e
