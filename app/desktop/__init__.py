"""The desktop app: the only part that knows Qt. Widgets show values and emit signals; the window connects."""
