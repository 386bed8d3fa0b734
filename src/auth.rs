//! Who is asking: passwords, tokens and the sessions that tokens belong to; and how often one may guess.

pub mod key;
pub mod password;
pub mod session;
pub mod throttle;
pub mod token;
