// The local node's pause image: standard library only.
module github.com/orderd-dev/orderd/hack/node/pause

go 1.26.0
