"""For people at their own machine: the demonstration and a small benchmark."""
