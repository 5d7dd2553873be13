module beamline-registry-examples

go 1.23

require github.com/nats-io/nats.go v1.41.0
