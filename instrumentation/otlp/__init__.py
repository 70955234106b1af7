"""The OTLP exporters of a service: no protobuf, no HTTP library, so that a model image with any pins can take them."""
