"""What runs cost, in closed form: parameters, multiply-accumulates, memory, hours."""
