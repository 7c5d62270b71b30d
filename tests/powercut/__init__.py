"""The power-cut laboratory: every write of a machine on record, every state a cut may leave, and what boots then."""
