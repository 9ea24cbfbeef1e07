"""What ``harness doctor`` looks at: the machine, its GPU, each backend. It changes nothing."""
