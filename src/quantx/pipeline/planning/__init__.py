"""What must be fetched: triggers and requests become runs of tasks in the state and on the queue."""
