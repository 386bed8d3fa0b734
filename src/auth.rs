//! Who is asking: passwords, tokens and the sessions that tokens belong to.

pub mod key;
pub mod password;
pub mod session;
pub mod token;
