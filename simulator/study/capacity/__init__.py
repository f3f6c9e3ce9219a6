"""How much a service carries under an objective: requests a second, replicas, replicas that compute prompts."""
