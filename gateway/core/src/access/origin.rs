//! The origin of a token: everything that a revocation can name.

use schemas::{
    Millis,
    access::{RevocationTag, TargetKind},
    ids::TenantId,
};
use serde::{Deserialize, Serialize};

/// Tags of one token: its subject, session, token id, and device or ticket link. The token of a
/// super admin in another tenant has its subject and session there, those of its first token, and
/// the subject's for [`TargetKind::Permissions`].
pub const ORIGIN_TAGS: usize = 7;

/// When a token was issued, and which revocations end it. A token that was renewed keeps the origin
/// of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// When the token was issued, or the earliest moment at which it may have been.
    pub issued: Millis,
    /// The version of the bearer's permissions, if the issuer counts them.
    pub permission_version: Option<u32>,
    /// The tag of the subject for [`TargetKind::Permissions`].
    pub permissions: RevocationTag,
    /// The tags of everything else. Unused ones are [`RevocationTag::NONE`].
    pub tags: [RevocationTag; ORIGIN_TAGS],
    /// Until when the token may be replaced by a newer one. 0 for a token that may not.
    pub renewable_until: Millis,
    /// Whether the token is that of a crossing: of a super admin in another tenant, or of staff at
    /// another location.
    pub crossed: bool,
    /// How the token is renewed.
    pub credential: Credential,
}

/// The kind of credential behind a token, which decides how the token is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// A token of an issuer. Its issuer allows renewal for a while.
    #[default]
    Issued,
    /// The link of a ticket: renewed while the ticket lives, and shortly after.
    TicketLink,
    /// A paired display: renewed while the display is paired.
    Display {
        /// How often the credential was renewed. Each generation is renewed once.
        generation: u32,
    },
}

impl Origin {
    /// The origin of a token of this subject that names no session, device or link.
    pub fn new(tenant: &TenantId, subject: &str, issued: Millis) -> Self {
        let mut origin = Self { issued, ..Self::default() };
        origin.permissions = RevocationTag::new(tenant, TargetKind::Permissions, subject);
        origin.add(tenant, TargetKind::Subject, subject);
        origin
    }

    /// The tag that stands for the session of the token: of its session, token id, device or link.
    /// The tokens of a subject that name none of these are one session.
    pub fn session(&self) -> RevocationTag {
        let named = self.tags[1..].iter().find(|tag| **tag != RevocationTag::NONE);
        named.copied().unwrap_or(self.tags[0])
    }

    /// Adds the tags of the token that a super admin has at home, so that their revocation ends
    /// this token too.
    pub fn add_home(&mut self, home: &Self) {
        let of_home = home.tags.into_iter().chain([home.permissions]);
        let free = self.tags.iter_mut().filter(|tag| **tag == RevocationTag::NONE);
        let of_home = of_home.filter(|tag| *tag != RevocationTag::NONE);
        free.zip(of_home).for_each(|(free, tag)| *free = tag);
    }

    /// Makes the token a session of its own. The end of its former session ends it too.
    pub fn begin_session(&mut self, tenant: &TenantId, id: &str) {
        let others = &mut self.tags[1..];
        debug_assert!(others.last() == Some(&RevocationTag::NONE), "there is room for one more");
        others.rotate_right(1);
        others[0] = RevocationTag::new(tenant, TargetKind::Session, id);
    }

    /// Adds the tag of something else that the token names. There is room for [`ORIGIN_TAGS`] tags.
    pub fn add(&mut self, tenant: &TenantId, kind: TargetKind, id: &str) {
        let free = self.tags.iter_mut().find(|tag| **tag == RevocationTag::NONE);
        debug_assert!(free.is_some(), "a token names at most {ORIGIN_TAGS} things");
        if let Some(free) = free {
            *free = RevocationTag::new(tenant, kind, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn tags(origin: &Origin) -> Vec<RevocationTag> {
        origin.tags.into_iter().filter(|tag| *tag != RevocationTag::NONE).collect()
    }

    #[test]
    fn session_is_what_the_token_names_first() {
        let demo = tenant("demo");
        let tag = |kind, id| RevocationTag::new(&demo, kind, id);
        let mut origin = Origin::new(&demo, "ann", 5);
        assert_eq!(origin.session(), tag(TargetKind::Subject, "ann"));
        origin.add(&demo, TargetKind::Device, "t-1");
        assert_eq!(origin.session(), tag(TargetKind::Device, "t-1"));
        origin.begin_session(&demo, "s-1");
        let expected = [
            tag(TargetKind::Subject, "ann"),
            tag(TargetKind::Session, "s-1"),
            tag(TargetKind::Device, "t-1"),
        ];
        assert_eq!(tags(&origin), expected, "the former session still ends it");
        assert_eq!(origin.session(), expected[1]);
    }

    #[test]
    fn token_abroad_ends_with_the_one_at_home() {
        let [home, abroad] = ["home", "abroad"].map(tenant);
        let mut at_home = Origin::new(&home, "root", 5);
        at_home.add(&home, TargetKind::Device, "t-1");
        let mut origin = Origin::new(&abroad, "root", 5);
        origin.add_home(&at_home);
        let expected = [
            RevocationTag::new(&abroad, TargetKind::Subject, "root"),
            RevocationTag::new(&home, TargetKind::Subject, "root"),
            RevocationTag::new(&home, TargetKind::Device, "t-1"),
            RevocationTag::new(&home, TargetKind::Permissions, "root"),
        ];
        assert_eq!(tags(&origin), expected);
    }
}
