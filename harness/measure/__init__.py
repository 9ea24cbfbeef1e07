"""How things are timed, and the state of the machine that timed them."""
