//! The command line of Meshwright.
