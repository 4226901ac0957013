"""What a request through meshctl costs, beside nginx, HAProxy, Envoy and Caddy in one run."""
