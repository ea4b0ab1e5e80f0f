"""The services: plan → work → curate → report. Entry points decode, call one of them, and set an exit code."""
