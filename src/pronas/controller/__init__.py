"""The room controller; see ARCHITECTURE.md."""
