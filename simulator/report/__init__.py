"""Show me: figures, tables and pages. Reads results and computes no model quantity."""
