"""The queue of tasks behind one small protocol."""
