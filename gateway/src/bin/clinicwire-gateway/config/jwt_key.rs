//! A public key of an issuer as `--jwt-key` names it.

use std::{fs, path::PathBuf, str::FromStr};

use anyhow::Context;
use gateway::access::auth::{KeyAlgorithm, KeyError, Keys};

/// A value of `--jwt-key`.
#[derive(Debug, Clone)]
pub struct JwtKey {
    file: PathBuf,
    kid: String,
    algorithm: KeyAlgorithm,
}

impl FromStr for JwtKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.rsplitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(algorithm), Some(kid), Some(file)) if !kid.is_empty() && !file.is_empty() => {
                Ok(Self {
                    file: file.into(),
                    kid: kid.to_owned(),
                    algorithm: algorithm.parse().map_err(|error: KeyError| error.to_string())?,
                })
            }
            _ => Err("expected FILE:KID:ALG".to_owned()),
        }
    }
}

impl JwtKey {
    pub(super) fn add_to(&self, keys: &mut Keys) -> anyhow::Result<()> {
        let Self { file, kid, algorithm } = self;
        let pem =
            fs::read(file).with_context(|| format!("cannot read the key {}", file.display()))?;
        keys.add_pem(kid, *algorithm, &pem)
            .with_context(|| format!("cannot use the key {}", file.display()))
    }
}
