"""The command line. `main` reads the arguments; each command lives in a file of its own, imported when it is asked for."""
