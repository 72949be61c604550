"""Floor 1: faster fillings of the slots, one folder a kind of machine. Reached by name, when first needed."""
