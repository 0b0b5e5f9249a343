//! Pseudonyms of callers in logs: an HMAC of tenant and subject under a key that only operators
//! have. Lines of one person can be found together, and without the key nobody is named. When the
//! key is replaced, older lines can no longer be linked to newer ones.

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
    time::Duration,
};

use gateway_core::access::Claims;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How often the file is read, to find a new key. A rotation is a matter of weeks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Least characters of a key, such as half of the output of `openssl rand -hex 32`.
const MIN_KEY: usize = 32;
/// Bytes of a pseudonym: 64 bits tell a million people apart.
const BYTES: usize = 8;

/// The key of pseudonyms.
#[derive(Clone)]
pub struct PseudonymKey(Hmac<Sha256>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum PseudonymKeyError {
    /// The file cannot be read.
    #[error("the file of the key cannot be read")]
    Unreadable(#[from] std::io::Error),
    /// The key is too short.
    #[error("the key is shorter than 32 characters: make one with `openssl rand -hex 32`")]
    Short,
}

impl PseudonymKey {
    /// Reads the key in a file.
    ///
    /// # Errors
    /// [`PseudonymKeyError`]
    pub fn read(file: &Path) -> Result<Self, PseudonymKeyError> {
        Self::new(&std::fs::read(file)?)
    }

    /// # Panics
    /// Never: HMAC takes a key of any length.
    fn new(text: &[u8]) -> Result<Self, PseudonymKeyError> {
        let key = text.trim_ascii();
        if key.len() < MIN_KEY {
            return Err(PseudonymKeyError::Short);
        }
        Ok(Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    /// The pseudonym of a person.
    pub fn pseudonym(&self, tenant: &str, subject: &str) -> String {
        // Ids of tenants have no control characters, so the two parts cannot be confused.
        let mac = self.0.clone().chain_update(tenant).chain_update([0_u8]).chain_update(subject);
        let bytes = mac.finalize().into_bytes();
        bytes[..BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The key that a node uses, and its file.
#[derive(Default)]
pub(crate) struct Pseudonyms {
    file: Option<PathBuf>,
    key: RwLock<Option<PseudonymKey>>,
}

impl Pseudonyms {
    /// Reads the key, if there is a file. Without one, no caller is in the log.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        let pseudonyms = Self { file, key: RwLock::default() };
        pseudonyms.look();
        pseudonyms
    }

    /// Names the caller in the log lines of the request that this task answers.
    pub(crate) fn note(&self, claims: &Claims) {
        if let Some(key) = &*self.key.read().unwrap_or_else(PoisonError::into_inner) {
            let pseudonym = key.pseudonym(claims.tenant.as_str(), &claims.subject);
            tracing::Span::current().record("caller", pseudonym.as_str());
        }
    }

    /// Reads the file again and again, until the future is dropped.
    pub(crate) async fn keep_fresh(&self) {
        if self.file.is_none() {
            return;
        }
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            every.tick().await;
            self.look();
        }
    }

    /// Reads the file. While it cannot be read, the last key stays.
    fn look(&self) {
        let Some(file) = &self.file else { return };
        match PseudonymKey::read(file) {
            Ok(key) => *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the key of pseudonyms cannot be used; the last one stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonym(key: &[u8], tenant: &str, subject: &str) -> String {
        PseudonymKey::new(key).unwrap().pseudonym(tenant, subject)
    }

    #[test]
    fn pseudonym_depends_on_key_tenant_and_subject() {
        let (one, other) = ([b'a'; 32], [b'b'; 32]);
        let known = pseudonym(&one, "demo", "patient-7");
        assert_eq!(known.len(), 16);
        assert_eq!(pseudonym(&one, "demo", "patient-7"), known);
        let padded = [&one[..], b"\n"].concat();
        assert_eq!(pseudonym(&padded, "demo", "patient-7"), known, "editors end a file so");
        for (key, tenant, subject) in [
            (&other, "demo", "patient-7"),
            (&one, "other", "patient-7"),
            (&one, "demo", "patient-8"),
        ] {
            assert_ne!(pseudonym(key, tenant, subject), known);
        }
    }

    #[test]
    fn new_key_in_the_file_is_used_and_a_bad_one_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        let named = |pseudonyms: &Pseudonyms| {
            let key = pseudonyms.key.read().unwrap();
            key.as_ref().map(|key| key.pseudonym("demo", "patient-7"))
        };
        write(&"a".repeat(32));
        let pseudonyms = Pseudonyms::new(Some(file.path().to_owned()));
        let first = named(&pseudonyms).unwrap();
        write("too short");
        pseudonyms.look();
        assert_eq!(named(&pseudonyms).as_ref(), Some(&first));
        write(&"b".repeat(32));
        pseudonyms.look();
        assert_ne!(named(&pseudonyms).unwrap(), first);
        assert_eq!(named(&Pseudonyms::new(None)), None);
    }
}
