//! Lists as CSV tables, whose pages are read as the caller receives them.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, TryStreamExt};
use http::header;
use schemas::codes::Code;

/// Pause between two attempts of a running export to find a place for its next page.
const PLACE_PAUSE: Duration = Duration::from_millis(200);
/// Attempts before a running export is cut off: ten seconds, twice what a list may take.
const PLACE_ATTEMPTS: usize = 50;

#[derive(Debug, thiserror::Error)]
#[error("the export could not be read to its end: {0}")]
struct ExportCut(Code);

/// Answers with a file of this name. An export that fails half-way is cut off, which a caller can
/// tell from its end.
pub(super) fn answer(
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
pub(super) async fn next_page<T, F: Future<Output = Result<T, Code>>>(
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
pub(super) fn table(
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
pub(super) fn plain(mut text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        text.insert(0, '\'');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_of_an_export_is_a_formula() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"] {
            assert_eq!(plain(formula.to_owned()), format!("'{formula}"));
        }
        assert_eq!(plain("1+1=2".to_owned()), "1+1=2");
    }
}
