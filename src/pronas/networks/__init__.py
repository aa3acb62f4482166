"""The room networks; see ARCHITECTURE.md."""
