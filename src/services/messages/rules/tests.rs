//! Rules over whole files.
