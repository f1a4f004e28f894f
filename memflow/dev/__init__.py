"""For people at their own machine: the demonstration."""
