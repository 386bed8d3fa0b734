//! Random names.

/// Returns a name that no other call returns: 128 random bits in hexadecimal.
///
/// # Errors
/// The system has no random numbers.
pub fn unique_name() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(hex::encode(random))
}
