"""How long an iteration of a service takes: by tables and closed forms that a deployment is compiled to."""
