//! Use cases. Nothing here knows a driver or a wire format.
