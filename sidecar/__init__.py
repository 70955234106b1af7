"""The process beside the service in the pod: receives OTLP, merges all workers into one /metrics, relays traces."""
