"""How a process is wired and waits: settings to adapters, threads, retries, logs."""
