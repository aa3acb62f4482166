"""The room space; see ARCHITECTURE.md."""
