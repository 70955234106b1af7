"""The way in: OTLP over gRPC and HTTP, checked, counted and handed on as bytes."""
