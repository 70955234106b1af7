"""A gunicorn configuration: its number of workers is on no command line."""

workers = 2
