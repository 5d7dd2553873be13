//! See the tests of each command.
