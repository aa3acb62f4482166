"""The room search; see ARCHITECTURE.md."""
