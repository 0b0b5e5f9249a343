//! Cursors of lists. They are opaque to callers, so that the order may change.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use schemas::{
    Millis,
    codes::Code,
    ids::{RunId, TenantId},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    backends::queries::{AuditPlace, FindingPlace},
    http::Problem,
};

/// Default number of entries of a page.
const PAGE: u32 = 50;
/// Most entries of a page. More is `invalid_value`.
pub(in crate::http) const MAX_PAGE: u32 = 500;

/// The number of entries of a page.
pub(in crate::http) fn page(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        _ => Err(Problem::from(Code::InvalidValue).explained("a limit is 1 to 500")),
    }
}

/// Cuts rows, which were read with one more than the page has, to the page. Returns the cursor of
/// the next page, if there is one.
pub(in crate::http) fn cut<T, C: Cursor>(
    rows: &mut Vec<T>,
    limit: u32,
    place: impl Fn(&T) -> C,
) -> Option<String> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    rows.last().filter(|_| more).map(|last| place(last).seal())
}

/// The answer of a page, with its rows under `name`.
pub(in crate::http) fn answer(name: &str, rows: impl Serialize, next: Option<String>) -> Response {
    let mut body = json!({ name: rows });
    if let Some(next) = next {
        body["next"] = next.into();
    }
    Json(body).into_response()
}

/// The place after which a list continues.
pub(in crate::http) trait Cursor: Sized {
    fn text(&self) -> String;
    fn parse(text: &str) -> Option<Self>;

    fn seal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.text())
    }

    fn open(sealed: &str) -> Result<Self, Problem> {
        let text =
            URL_SAFE_NO_PAD.decode(sealed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.and_then(|text| Self::parse(&text))
            .ok_or_else(|| Problem::malformed("this is not a cursor of this list"))
    }
}

impl Cursor for (Millis, RunId) {
    fn text(&self) -> String {
        format!("{} {}", self.0, self.1)
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, run) = text.split_once(' ')?;
        Some((at.parse().ok()?, RunId::new(run).ok()?))
    }
}

impl Cursor for TenantId {
    fn text(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        Self::new(text).ok()
    }
}

impl Cursor for FindingPlace {
    fn text(&self) -> String {
        format!("{} {}", self.place, self.n)
    }

    fn parse(text: &str) -> Option<Self> {
        let (place, n) = text.split_once(' ')?;
        Some(Self { place: place.parse().ok()?, n: n.parse().ok()? })
    }
}

impl Cursor for AuditPlace {
    fn text(&self) -> String {
        format!("{} {}", self.logged_at, self.number)
    }

    fn parse(text: &str) -> Option<Self> {
        let (logged_at, number) = text.split_once(' ')?;
        Some(Self { logged_at: logged_at.parse().ok()?, number: number.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_opens_only_its_list() {
        let run = RunId::from_parts(7, 8);
        let sealed = (1_700_000_000_000, run.clone()).seal();
        assert_eq!(<(Millis, RunId)>::open(&sealed).ok(), Some((1_700_000_000_000, run)));
        assert!(FindingPlace::open(&sealed).is_err());
        let place = FindingPlace { place: i64::MAX, n: 3 };
        assert_eq!(FindingPlace::open(&place.seal()).ok(), Some(place));
        for bad in [
            "",
            "x",
            "====",
            "MSAy_",
            &URL_SAFE_NO_PAD.encode("1 2 3"),
            &URL_SAFE_NO_PAD.encode("1"),
        ] {
            assert!(FindingPlace::open(bad).is_err(), "{bad}");
        }
    }
}
