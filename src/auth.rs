//! Authentication: passwords, tokens, sessions, and limits on attempts.

pub mod key;
pub mod password;
pub mod session;
pub(crate) mod throttle;
pub mod token;
