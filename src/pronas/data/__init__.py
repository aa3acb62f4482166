"""The room data; see ARCHITECTURE.md."""
