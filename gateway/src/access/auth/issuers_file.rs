//! The file of `--issuers`: the issuers that a node trusts, as JSON.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::IpAddr,
    path::Path,
    time::Duration,
};

use gateway_core::access::Role;
use http::Uri;
use schemas::{Millis, access::MAX_TOKEN_LIFE_MS, ids::TenantId};
use serde::Deserialize;

use super::{
    Issuers, KeyAlgorithm,
    claim_mapping::{ClaimMapping, ClaimPaths, normal_word},
    issuer::{DEFAULT_LEEWAY_MS, Issuer, KeySource, Renewal, TenantRule},
    keys::Keys,
    remote_keys::{FetchDocument, RefreshPolicy, RemoteKeys},
};
use crate::access::own_tokens::OWN_ISSUER;

/// Most issuers in a file. Each has a task that fetches its keys.
const MAX_ISSUERS: usize = 100;
/// Largest clock difference that can be configured.
const MAX_LEEWAY_S: u32 = 120;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuersFile {
    issuers: Vec<IssuerEntry>,
}

/// One issuer of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerEntry {
    /// The `iss` of its tokens.
    issuer: String,
    audience: String,
    /// Where it publishes its keys; or `keys`.
    jwks_url: Option<String>,
    #[serde(default)]
    keys: Vec<KeyEntry>,
    /// Algorithms of one family, for the keys of `jwks_url`.
    #[serde(default)]
    algorithms: Vec<KeyAlgorithm>,
    /// The only tenant of its tokens; or `tenants`, or `any_tenant`.
    tenant: Option<TenantId>,
    /// The tenants that its tokens may name.
    tenants: Option<Vec<TenantId>>,
    #[serde(default)]
    any_tenant: bool,
    #[serde(default)]
    claims: ClaimPaths,
    /// Clinicwire's role for further role words.
    #[serde(default)]
    roles: HashMap<String, Role>,
    /// Seconds after its issue for which a token of each role may be renewed by the gateway.
    #[serde(default)]
    renew_s: HashMap<Role, u32>,
    #[serde(default)]
    super_admins: bool,
    #[serde(default)]
    subject_prefix: String,
    #[serde(default = "default_life")]
    max_token_life_s: u32,
    #[serde(default = "default_leeway")]
    leeway_s: u32,
    #[serde(default)]
    iat_optional: bool,
    #[serde(default = "default_refresh")]
    refresh_s: u32,
    #[serde(default = "default_cooldown")]
    cooldown_s: u32,
    #[serde(default = "default_stale")]
    stale_s: u32,
}

/// A public key in a PEM file, whose path is relative to the file of issuers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    file: String,
    kid: String,
    algorithm: KeyAlgorithm,
}

fn default_life() -> u32 {
    24 * 60 * 60
}

fn default_leeway() -> u32 {
    (DEFAULT_LEEWAY_MS / 1000) as u32
}

fn default_refresh() -> u32 {
    5 * 60
}

fn default_cooldown() -> u32 {
    30
}

fn default_stale() -> u32 {
    24 * 60 * 60
}

/// Why a file of issuers cannot be used: one line for each fault.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct IssuersFault(pub Vec<String>);

impl Issuers {
    /// Reads a file of issuers and the key files that it names. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`IssuersFault`] with every fault of the file.
    pub fn from_file(path: &Path, fetch: &FetchDocument) -> Result<Self, IssuersFault> {
        let one = |text: String| IssuersFault(vec![text]);
        let text = fs::read(path)
            .map_err(|error| one(format!("cannot read {}: {error}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::from_json(&text, folder, fetch)
    }

    /// Reads the text of a file of issuers. Key files are relative to `folder`.
    pub(super) fn from_json(
        text: &[u8],
        folder: &Path,
        fetch: &FetchDocument,
    ) -> Result<Self, IssuersFault> {
        let mut json = serde_json::Deserializer::from_slice(text);
        let file: IssuersFile = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| IssuersFault(vec![format!("{}: {}", error.path(), error.inner())]))?;
        let mut faults = Vec::new();
        if file.issuers.is_empty() || file.issuers.len() > MAX_ISSUERS {
            faults.push(format!("issuers: expected 1 to {MAX_ISSUERS} issuers"));
        }
        let mut issuers: Vec<Issuer> = Vec::new();
        for (index, entry) in file.issuers.into_iter().enumerate() {
            let mut fault = |field: &str, text: &str| {
                faults.push(format!("issuers[{index}].{field}: {text}"));
            };
            if let Some(issuer) = entry.build(folder, fetch, &mut fault) {
                check_against(&issuers, &issuer, &mut fault);
                issuers.push(issuer);
            }
        }
        if faults.is_empty() { Ok(Self::new(issuers)) } else { Err(IssuersFault(faults)) }
    }
}

/// Checks that an issuer can be told from the others, and its people from theirs.
fn check_against(others: &[Issuer], issuer: &Issuer, fault: &mut impl FnMut(&str, &str)) {
    if others.iter().any(|other| other.name == issuer.name) {
        fault("issuer", "another issuer of the file has this name");
    }
    let same_people = |other: &Issuer| {
        other.tenants.overlaps(&issuer.tenants)
            && other.mapping.subject_prefix == issuer.mapping.subject_prefix
    };
    if others.iter().any(same_people) {
        fault(
            "subject_prefix",
            "another issuer may speak for the same tenant, so that its subjects could be taken \
             for this one's: give one of them a prefix",
        );
    }
}

impl IssuerEntry {
    /// The issuer, unless something is wrong with it.
    fn build(
        self,
        folder: &Path,
        fetch: &FetchDocument,
        fault: &mut impl FnMut(&str, &str),
    ) -> Option<Issuer> {
        self.check_texts(fault);
        self.check_times(fault);
        let keys = self.key_source(folder, fetch, fault);
        let tenants = self.tenant_rule(fault);
        let roles = self.roles.iter().map(|(word, role)| (normal_word(word), *role)).collect();
        let mapping = ClaimMapping {
            paths: self.claims,
            roles,
            super_admins: self.super_admins,
            subject_prefix: self.subject_prefix,
        };
        let mut renewal = Renewal::default();
        let configured = self.renew_s.iter();
        renewal.0.extend(configured.map(|(role, seconds)| (*role, Millis::from(*seconds) * 1000)));
        Some(Issuer {
            name: self.issuer,
            audience: self.audience,
            keys: keys?,
            tenants: tenants?,
            mapping,
            max_life_ms: Millis::from(self.max_token_life_s) * 1000,
            leeway_ms: Millis::from(self.leeway_s) * 1000,
            iat_optional: self.iat_optional,
            renewal,
        })
    }

    fn check_texts(&self, fault: &mut impl FnMut(&str, &str)) {
        for (field, text) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if text.is_empty() {
                fault(field, "must not be empty");
            }
        }
        if self.issuer == OWN_ISSUER {
            fault("issuer", "this is the name of Clinicwire's own tokens");
        }
        if self.subject_prefix.len() > 32 {
            fault("subject_prefix", "must have at most 32 bytes");
        }
    }

    fn check_times(&self, fault: &mut impl FnMut(&str, &str)) {
        let longest = u32::try_from(MAX_TOKEN_LIFE_MS / 1000).unwrap_or(u32::MAX);
        let ranges = [
            ("max_token_life_s", self.max_token_life_s, 60..=longest),
            ("leeway_s", self.leeway_s, 0..=MAX_LEEWAY_S),
            ("refresh_s", self.refresh_s, 10..=86_400),
            ("cooldown_s", self.cooldown_s, 1..=600),
            ("stale_s", self.stale_s, 60..=7 * 86_400),
        ];
        for (field, seconds, range) in ranges {
            if !range.contains(&seconds) {
                fault(field, &format!("must be {} to {} seconds", range.start(), range.end()));
            }
        }
        if self.stale_s <= self.refresh_s {
            fault("stale_s", "must be longer than refresh_s");
        }
    }

    fn tenant_rule(&self, fault: &mut impl FnMut(&str, &str)) -> Option<TenantRule> {
        match (&self.tenant, &self.tenants, self.any_tenant) {
            (Some(tenant), None, false) => Some(TenantRule::Fixed(tenant.clone())),
            (None, Some(tenants), false) if !tenants.is_empty() => {
                Some(TenantRule::OneOf(tenants.clone()))
            }
            (None, None, true) => Some(TenantRule::Any),
            _ => {
                fault(
                    "tenant",
                    "say for which tenants the issuer may speak: one of `tenant`, a list \
                     `tenants`, or `any_tenant`: true",
                );
                None
            }
        }
    }

    fn key_source(
        &self,
        folder: &Path,
        fetch: &FetchDocument,
        fault: &mut impl FnMut(&str, &str),
    ) -> Option<KeySource> {
        match (&self.jwks_url, self.keys.is_empty()) {
            (Some(url), true) => self.remote_keys(url, fetch, fault),
            (None, false) => self.configured_keys(folder, fault),
            _ => {
                fault("jwks_url", "give either `jwks_url` or `keys`");
                None
            }
        }
    }

    fn remote_keys(
        &self,
        url: &str,
        fetch: &FetchDocument,
        fault: &mut impl FnMut(&str, &str),
    ) -> Option<KeySource> {
        let families: HashSet<_> =
            self.algorithms.iter().map(|algorithm| format!("{:?}", algorithm.family())).collect();
        let mut sound = true;
        if families.len() != 1 {
            fault("algorithms", "list at least one algorithm, all of one family: RSA, EC or EdDSA");
            sound = false;
        }
        if let Err(text) = check_url(url) {
            fault("jwks_url", text);
            sound = false;
        }
        let policy = RefreshPolicy {
            refresh: Duration::from_secs(self.refresh_s.into()),
            cooldown: Duration::from_secs(self.cooldown_s.into()),
            stale: Duration::from_secs(self.stale_s.into()),
        };
        let remote =
            RemoteKeys::new(url.to_owned(), self.algorithms.clone(), policy, fetch.clone());
        sound.then(|| KeySource::Remote(remote.into()))
    }

    fn configured_keys(
        &self,
        folder: &Path,
        fault: &mut impl FnMut(&str, &str),
    ) -> Option<KeySource> {
        let mut sound = self.algorithms.is_empty();
        if !sound {
            fault("algorithms", "belongs to `jwks_url`: each of `keys` has its own `algorithm`");
        }
        let mut keys = Keys::new(&*self.issuer, &*self.audience);
        for (index, entry) in self.keys.iter().enumerate() {
            let file = folder.join(&entry.file);
            let added = match fs::read(&file) {
                Ok(pem) => keys
                    .add_pem(&entry.kid, entry.algorithm, &pem)
                    .map_err(|error| error.to_string()),
                Err(error) => Err(format!("cannot read {}: {error}", file.display())),
            };
            if let Err(text) = added {
                fault(&format!("keys[{index}]"), &text);
                sound = false;
            }
        }
        sound.then_some(KeySource::Configured(keys.set))
    }
}

/// Checks that keys cannot be changed on their way: `https`, or a server on this machine.
fn check_url(url: &str) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "is no URL")?;
    let host = uri.host().ok_or("names no host")?;
    let is_local = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let has_login = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if has_login => Err("must not contain a login"),
        Some("https") => Ok(()),
        Some("http") if is_local => Ok(()),
        _ => Err("must begin with https:// (http:// only for a server on this machine)"),
    }
}

#[cfg(test)]
mod tests;
