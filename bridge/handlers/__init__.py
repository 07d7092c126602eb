"""Entry points for servers: they wrap the web or the dispatcher for whoever runs them."""
