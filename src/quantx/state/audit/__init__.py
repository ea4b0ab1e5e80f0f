"""The audit in the state: what people have done, and why."""
