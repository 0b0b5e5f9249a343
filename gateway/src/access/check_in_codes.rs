//! The signed code of a check-in point, which its poster shows.
//!
//! The code is derived from the point and its rotation with a secret of all nodes, so that no log
//! and no store contains it. Anyone who sees the poster has the code: it proves the place of a
//! scan, not the person.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use schemas::{
    codes::Code,
    ids::{CheckInPointId, TenantId},
};
use sha2::{Digest, Sha256};

/// Bytes of the MAC in a code. 128 bits cannot be guessed.
const MAC_BYTES: usize = 16;

/// The check-in point that a code names, once its proof was checked, and the rotation at which the
/// code was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckInCode {
    pub tenant: TenantId,
    pub point: CheckInPointId,
    pub rotation: u64,
}

/// Makes and opens the codes of check-in points.
#[derive(Clone)]
pub struct CheckInCodeKey(Hmac<Sha256>);

impl CheckInCodeKey {
    /// `secret` is that of the nodes' grants.
    pub fn new(secret: &[u8; 32]) -> Self {
        let secret =
            Sha256::new().chain_update(secret).chain_update("clinicwire check-in codes").finalize();
        Self(Hmac::new_from_slice(&secret).expect("HMAC takes a key of any length"))
    }

    /// The text of the code: `<tenant>.<location>.<point>.<rotation>.<MAC>`, of letters, digits,
    /// `.`, `-` and `_`.
    pub fn seal(&self, code: &CheckInCode) -> String {
        let mac = self.mac(code).finalize().into_bytes();
        let mac = URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]);
        format!("{}.{}.{}.{mac}", code.tenant, code.point, code.rotation)
    }

    /// Opens the text of a code.
    ///
    /// # Errors
    /// `qr_expired` for any other text: a patient treats an old and a damaged poster alike.
    pub fn open(&self, text: &str) -> Result<CheckInCode, Code> {
        let (code, mac) = read(text).ok_or(Code::QrExpired)?;
        let checked = self.mac(&code).verify_truncated_left(&mac);
        checked.map(|()| code).map_err(|_| Code::QrExpired)
    }

    /// Each part is preceded by its length, so that no two codes have the same input.
    fn mac(&self, code: &CheckInCode) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        let rotation = code.rotation.to_string();
        for part in [code.tenant.as_str(), code.point.as_str(), &rotation] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

fn read(text: &str) -> Option<(CheckInCode, [u8; MAC_BYTES])> {
    let (tenant, rest) = text.split_once('.')?;
    let (rest, mac) = rest.rsplit_once('.')?;
    let (point, rotation) = rest.rsplit_once('.')?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
    let code = CheckInCode {
        tenant: TenantId::new(tenant).ok()?,
        point: CheckInPointId::new(point).ok()?,
        rotation: rotation.parse().ok()?,
    };
    Some((code, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(tenant: &str, point: &str, rotation: u64) -> CheckInCode {
        CheckInCode {
            tenant: TenantId::new(tenant).unwrap(),
            point: CheckInPointId::new(point).unwrap(),
            rotation,
        }
    }

    #[test]
    fn code_opens_with_the_secret_that_sealed_it() {
        let (key, other) = (CheckInCodeKey::new(&[1; 32]), CheckInCodeKey::new(&[2; 32]));
        let sealed = code("demo", "riverside.entrance", 17);
        let text = key.seal(&sealed);
        assert_eq!(key.open(&text), Ok(sealed));
        assert_eq!(other.open(&text), Err(Code::QrExpired));
        let forged = [
            text.replace("demo", "north"),
            text.replace("entrance", "hall"),
            text.replace(".17.", ".18."),
            format!("{text}A"),
            text[..text.len() - 1].to_owned(),
            String::new(),
            "demo.riverside.entrance".to_owned(),
            "....".to_owned(),
        ];
        for text in forged {
            assert_eq!(key.open(&text), Err(Code::QrExpired), "{text}");
        }
    }
}
