//! The JPEG decoder against libjpeg-turbo, and against damage.

mod damage;
mod differential;
mod header;
mod libjpeg;
mod recipes;
