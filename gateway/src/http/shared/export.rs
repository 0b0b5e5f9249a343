//! Lists as CSV tables, whose pages are read as the caller receives them.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, TryStreamExt};
use http::{HeaderMap, header};
use schemas::codes::Code;

/// Pause between two attempts of a running export to find a place for its next page.
const PLACE_PAUSE: Duration = Duration::from_millis(200);
/// Attempts before a running export is cut off: ten seconds, twice what a list may take.
const PLACE_ATTEMPTS: usize = 50;

/// Whether the header `Accept` asks for a table rather than for JSON (RFC 9110 §12.5.1). A wildcard
/// alone asks for JSON.
pub(in crate::http) fn is_preferred(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let (mut table, mut json) = (0.0_f32, [0.0_f32; 3]);
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
        });
        let weight: f32 = weight.unwrap_or(1.0);
        match name.as_str() {
            "text/csv" => table = weight,
            "application/json" => json[0] = weight,
            "application/*" => json[1] = weight,
            "*/*" => json[2] = weight,
            _ => {}
        }
    }
    // The most specific range counts.
    let json = json.into_iter().find(|weight| *weight > 0.0).unwrap_or(0.0);
    table > 0.0 && table >= json
}

#[derive(Debug, thiserror::Error)]
#[error("the export could not be read to its end: {0}")]
struct ExportCut(Code);

/// Answers with a file of this name. An export that fails half-way is cut off, which a caller can
/// tell from its end.
pub(in crate::http) fn answer(
    file: &str,
    pages: impl Stream<Item = Result<Bytes, Code>> + Send + 'static,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
    ];
    (headers, Body::from_stream(pages.map_err(ExportCut))).into_response()
}

/// Reads the next page. It waits while the tenant's other lists take all places, since an export
/// that has begun cannot be refused any more.
pub(in crate::http) async fn next_page<T, F: Future<Output = Result<T, Code>>>(
    read: impl Fn() -> F,
) -> F::Output {
    for _ in 0..PLACE_ATTEMPTS {
        match read().await {
            Err(Code::TooManyQueries) => tokio::time::sleep(PLACE_PAUSE).await,
            answer => return answer,
        }
    }
    Err(Code::TryAgain)
}

/// The lines of a page. The first ones follow the byte-order mark by which spreadsheets recognise
/// UTF-8.
pub(in crate::http) fn table(
    is_first: bool,
    format: &mut csv::WriterBuilder,
    write: impl FnOnce(&mut csv::Writer<&mut Vec<u8>>) -> csv::Result<()>,
) -> Bytes {
    let mut text = if is_first { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    let mut writer = format.terminator(csv::Terminator::CRLF).from_writer(&mut text);
    let written = write(&mut writer).and_then(|()| writer.flush().map_err(csv::Error::from));
    written.expect("memory takes what is written, and rows have as many cells as the format asks");
    drop(writer);
    text.into()
}

/// Escapes text that a spreadsheet would take for a formula.
pub(in crate::http) fn plain(mut text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        text.insert(0, '\'');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_format() {
        for (accept, table) in [
            ("text/csv", true),
            ("Text/CSV; header=present", true),
            ("text/csv;q=0", false),
            ("text/csv; Q=0.000", false),
            ("application/json, text/csv", true),
            ("application/json, text/csv;q=0.9", false),
            ("application/json;q=0.1, text/csv;q=0.9", true),
            ("text/csv, */*;q=0.1", true),
            ("*/*", false),
            ("text/*", false),
            ("text/csvx", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(is_preferred(&headers), table, "{accept}");
        }
        let lines = ["application/json;q=0.5", "text/csv"];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, line.parse().unwrap());
        }
        assert!(is_preferred(&headers), "several lines are one list");
    }

    #[test]
    fn no_cell_of_an_export_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"] {
            assert_eq!(plain(formula.to_owned()), format!("'{formula}"));
        }
        assert_eq!(plain("1+1=2".to_owned()), "1+1=2");
    }
}
