//! Repairs that need no model. Rules propose; the validator judges them like any other fix.
