"""What Dapr was recorded to do, replayed against the local sidecar."""
