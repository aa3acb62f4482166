"""The room execution; see ARCHITECTURE.md."""
