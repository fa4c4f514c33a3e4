//! Scripted runs.
