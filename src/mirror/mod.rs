//! Copies written for others.
