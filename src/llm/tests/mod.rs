//! What the tests of this room, and of rooms above, share.

#[path = "../../../tests/support/endpoint.rs"]
pub(crate) mod endpoint;
