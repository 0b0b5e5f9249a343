//! Headers that a request may have once.

use http::{HeaderMap, header::AsHeaderName};

/// The bytes of a header's only line. Several lines are one list, which no such header is: they are
/// empty bytes, so that the reader of the value refuses them.
pub(in crate::http) fn only_line(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&[u8]> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.as_bytes();
    Some(if lines.next().is_some() { b"" } else { line })
}

/// The text of a header's only line. Several lines and bytes beyond ASCII are an empty text.
pub(in crate::http) fn only_text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let line = only_line(headers, name)?;
    Some(std::str::from_utf8(line).ok().filter(|text| text.is_ascii()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn header_of_several_lines_reads_as_empty() {
        let name = HeaderName::from_static("valid-until");
        let mut headers = HeaderMap::new();
        assert_eq!(only_text(&headers, &name), None);
        headers.append(&name, HeaderValue::from_static("2027-01-01T00:00:00Z"));
        assert_eq!(only_text(&headers, &name), Some("2027-01-01T00:00:00Z"));
        headers.append(&name, HeaderValue::from_static("2028-01-01T00:00:00Z"));
        assert_eq!(only_text(&headers, &name), Some(""));
        assert_eq!(only_line(&headers, &name), Some(&b""[..]));
    }
}
