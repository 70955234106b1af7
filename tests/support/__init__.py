"""What tests of several rooms share: real processes on loopback, and waiting for a condition."""
