"""Where the parts of a model lie among tiers of any machine, and how an engine uses what lies behind a link."""
