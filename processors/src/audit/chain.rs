//! The hash chain of a tenant.

use std::fmt;

use schemas::{Millis, audit::WrittenEntry, ids::TenantId};
use sha2::{Digest, Sha256};

/// The milliseconds of a day.
pub const DAY_MS: Millis = 24 * 60 * 60 * 1000;
/// Begins every hashed text, so that no hash of another protocol fits.
const DOMAIN: &[u8] = b"clinicwire.audit.v1\n";

/// A day of UTC, counted from the Unix epoch. The rows of a day are one partition of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

impl Day {
    /// The day of a time.
    pub fn of(at: Millis) -> Self {
        Self(i32::try_from(at.div_euclid(DAY_MS)).unwrap_or(i32::MAX))
    }

    /// The first millisecond of the day.
    pub fn starts(self) -> Millis {
        Millis::from(self.0) * DAY_MS
    }
}

/// As `2026-11-28`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.starts()) {
            Ok(at) => write!(f, "{}", at.strftime("%Y-%m-%d")),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

/// The number of an entry in the chain of its tenant: 1, 2, 3 …
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryNumber(pub u64);

impl EntryNumber {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for EntryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The hash of an entry: SHA-256 over the hash before it, and everything of the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// The hash before the first entry of a tenant.
    pub const START: Self = Self([0; 32]);

    /// The hash of the next entry. Each part has its length before it, so that no two contents
    /// are the same bytes.
    #[must_use]
    pub fn next(self, tenant: &TenantId, number: EntryNumber, at: Millis, body: &str) -> Self {
        let mut digest = Sha256::new_with_prefix(DOMAIN);
        digest.update(self.0);
        for part in [tenant.as_str().as_bytes(), body.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.update(number.0.to_be_bytes());
        digest.update(at.to_be_bytes());
        Self(digest.finalize().into())
    }
}

/// In hexadecimal digits.
impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The last entry of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the entry.
    pub number: EntryNumber,
    /// When the log appended the entry.
    pub logged_at: Millis,
    /// The hash of the entry.
    pub hash: ChainHash,
}

/// The end of a chain before its first entry of a day. With it, the rows of earlier days can be
/// dropped and the chain can still be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The day.
    pub day: Day,
    /// The number of the last entry before the day; 0 when there was none.
    pub before: EntryNumber,
    /// The hash of that entry.
    pub hash: ChainHash,
}

/// The columns by which the store finds an entry. They follow from its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowColumns {
    /// The subject of the entry.
    pub subject: String,
    /// The action of the entry.
    pub action: String,
    /// Why the action was refused, if it was.
    pub code: Option<String>,
}

impl RowColumns {
    /// The columns of an entry. PostgreSQL's texts hold no NUL, so another character replaces it.
    pub fn of(entry: &schemas::audit::AuditEntry) -> Self {
        let plain = |text: &str| text.replace('\0', "\u{fffd}");
        Self {
            subject: plain(&entry.subject),
            action: plain(&entry.action),
            code: entry.code.map(|code| code.as_str().to_owned()),
        }
    }
}

/// A new row of a chain.
#[derive(Clone)]
pub struct ChainRow {
    /// The number of the entry.
    pub number: EntryNumber,
    /// When the log appended the entry; never before an earlier entry.
    pub logged_at: Millis,
    /// The entry.
    pub written: WrittenEntry,
    /// The hash of the entry.
    pub hash: ChainHash,
}

/// The growth of a chain by new entries.
#[derive(Clone)]
pub struct ChainGrowth {
    /// The chain before the new entries.
    pub from: Option<ChainHead>,
    /// The chain after them.
    pub head: ChainHead,
    /// The new rows.
    pub rows: Vec<ChainRow>,
    /// The anchors of days that begin with the new rows.
    pub anchors: Vec<Anchor>,
}

impl ChainGrowth {
    /// Appends entries, each with the time at which the log appended it. `None` without entries.
    pub fn new(
        tenant: &TenantId,
        from: Option<ChainHead>,
        entries: impl IntoIterator<Item = (Millis, WrittenEntry)>,
    ) -> Option<Self> {
        let (mut rows, mut anchors, mut last) = (Vec::new(), Vec::new(), from);
        for (at, written) in entries {
            let (before, hash) =
                last.map_or((EntryNumber(0), ChainHash::START), |last| (last.number, last.hash));
            // The days of a chain never go back, so that dropping old days cuts it once.
            let logged_at = last.map_or(at, |last| last.logged_at.max(at));
            let day = Day::of(logged_at);
            if last.is_none_or(|last| Day::of(last.logged_at) != day) {
                anchors.push(Anchor { day, before, hash });
            }
            let number = before.next();
            let hash = hash.next(tenant, number, logged_at, written.text.get());
            last = Some(ChainHead { number, logged_at, hash });
            rows.push(ChainRow { number, logged_at, written, hash });
        }
        let head = last.filter(|_| !rows.is_empty())?;
        Some(Self { from, head, rows, anchors })
    }
}
