//! Unguessable numbers, from the operating system.

use schemas::codes::Code;

/// 128 random bits.
///
/// # Errors
/// `internal` when the operating system has none. Weaker numbers are never used instead.
pub fn bits() -> Result<u128, Code> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gave no random bytes");
        Code::Internal
    })?;
    Ok(u128::from_be_bytes(bytes))
}
