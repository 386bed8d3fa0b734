//! Tests of the JPEG decoder: comparison with libjpeg-turbo, headers, and damaged files.

mod damage;
mod differential;
mod header;
mod libjpeg;
mod recipes;
