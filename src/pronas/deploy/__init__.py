"""The room deploy; see ARCHITECTURE.md."""
