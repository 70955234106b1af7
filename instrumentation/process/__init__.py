"""What the process itself is doing: processor, memory, garbage, event loop, threads, GPUs."""
