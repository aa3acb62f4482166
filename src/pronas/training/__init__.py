"""The room training; see ARCHITECTURE.md."""
