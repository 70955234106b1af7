"""What a service imports: one line gives it traces, metrics and its model's telemetry over OpenTelemetry."""
