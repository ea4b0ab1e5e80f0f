"""What every process needs: adapters opened by the settings, threads, retries, logs."""
