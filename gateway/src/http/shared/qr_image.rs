//! QR codes as SVG and PNG, whose width in millimetres the request chooses.

use std::ops::RangeInclusive;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use qrcode::{Color, EcLevel, QrCode};
use schemas::codes::Code;

use crate::{client_address::ReportedClient, context::NodeContext, http::Problem};

/// Light modules around a code, which scanners need (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;
/// Dots of a receipt printer in a millimetre, at 203 dpi.
const DOTS_PER_MM: usize = 8;

/// The width of an image in millimetres, which is `default` unless the request names one.
pub(in crate::http) fn width(
    mm: Option<u16>,
    default: u16,
    allowed: RangeInclusive<u16>,
) -> Result<u16, Problem> {
    let mm = mm.unwrap_or(default);
    let (least, most) = (allowed.start(), allowed.end());
    allowed.contains(&mm).then_some(mm).ok_or_else(|| {
        Problem::malformed(format!("mm is a width in millimetres, from {least} to {most}"))
    })
}

/// The address under which the caller reached this node.
pub(in crate::http) struct NodeAddress {
    headers: HeaderMap,
    is_secure: bool,
}

impl<S: Sync> axum::extract::FromRequestParts<S> for NodeAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        let client = parts.extensions.get::<ReportedClient>();
        let is_secure = client.and_then(|client| client.is_secure) == Some(true);
        let mut headers = parts.headers.clone();
        // HTTP/2 has no `Host`.
        if let Some(authority) = parts.uri.authority()
            && let Ok(host) = authority.as_str().parse()
        {
            headers.entry(header::HOST).or_insert(host);
        }
        Ok(Self { headers, is_secure })
    }
}

impl NodeAddress {
    /// The absolute address of a path. A proxy may not report the scheme, so that an origin of
    /// `--origin` with the same host decides it.
    pub(in crate::http) fn url(&self, node: &NodeContext, path: &str) -> Result<String, Problem> {
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.ok_or_else(|| Problem::malformed("the request has no Host"))?;
        let secure = format!("https://{host}");
        let is_secure = self.is_secure || node.origins.contains(&secure);
        Ok(if is_secure { secure } else { format!("http://{host}") } + path)
    }
}

/// The modules of a QR code, from which its images are drawn.
pub(in crate::http) struct QrImage {
    width: usize,
    colors: Vec<Color>,
}

impl QrImage {
    /// Level M repairs 15 % of the code: receipts crease and fade.
    pub(in crate::http) fn new(text: &str) -> Result<Self, Problem> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| {
            Problem::malformed("the address of this node is too long for a QR code")
        })?;
        Ok(Self { width: code.width(), colors: code.to_colors() })
    }

    /// Modules of the image in a row, with the quiet zone.
    fn total(&self) -> usize {
        self.width + 2 * QUIET_ZONE
    }

    /// Whether the module at these places of the image is dark.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < self.width);
        let module = inside(x).zip(inside(y));
        module.is_some_and(|(x, y)| self.colors[y * self.width + x] == Color::Dark)
    }

    /// The answer with an SVG of this width in millimetres.
    pub(in crate::http) fn svg_response(&self, mm: u16) -> Response {
        ([(header::CONTENT_TYPE, "image/svg+xml")], self.svg(mm)).into_response()
    }

    /// The answer with a PNG of this width in millimetres.
    pub(in crate::http) fn png_response(&self, mm: u16) -> Result<Response, Problem> {
        Ok(([(header::CONTENT_TYPE, "image/png")], self.png(mm)?).into_response())
    }

    fn svg(&self, mm: u16) -> String {
        let total = self.total();
        let mut path = String::new();
        for y in 0..total {
            for x in (0..total).filter(|x| self.is_dark(*x, y)) {
                path += &format!("M{x} {y}h1v1h-1z");
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{mm}mm\" height=\"{mm}mm\" \
             viewBox=\"0 0 {total} {total}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0 0h{total}v{total}h-{total}z\"/>\
             <path fill=\"#000\" d=\"{path}\"/></svg>"
        )
    }

    /// One bit a dot. A module has whole dots, so that the image is at most `mm` wide and its
    /// edges are sharp.
    fn png(&self, mm: u16) -> Result<Vec<u8>, Problem> {
        let scale = (usize::from(mm) * DOTS_PER_MM / self.total()).max(1);
        let side = self.total() * scale;
        let mut rows = vec![0_u8; side.div_ceil(8) * side];
        for y in 0..side {
            let row = &mut rows[y * side.div_ceil(8)..];
            for x in (0..side).filter(|x| !self.is_dark(x / scale, y / scale)) {
                row[x / 8] |= 0x80 >> (x % 8);
            }
        }
        let mut image = Vec::new();
        let side = u32::try_from(side).map_err(|_| Code::Internal)?;
        let mut encoder = png::Encoder::new(&mut image, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let dots_per_metre = DOTS_PER_MM as u32 * 1_000;
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: dots_per_metre,
            yppu: dots_per_metre,
            unit: png::Unit::Meter,
        }));
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&rows));
        written.map_err(|_| Code::Internal)?;
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "https://clinic.example/patient#link=demo.riverside.0123456789abcdef";

    #[test]
    fn png_and_svg_show_the_same_modules() {
        let modules = QrImage::new(ADDRESS).ok().unwrap();
        for mm in [24, 40, 72] {
            let image = modules.png(mm).ok().unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(image)).read_info().unwrap();
            let mut rows = vec![0; reader.output_buffer_size().unwrap()];
            let side = reader.next_frame(&mut rows).unwrap().width as usize;
            let scale = side / modules.total();
            assert!(scale >= 2 && side <= usize::from(mm) * DOTS_PER_MM, "{mm} mm: {side}");
            let svg = modules.svg(mm);
            assert!(svg.contains(&format!("width=\"{mm}mm\"")));
            for y in 0..modules.total() {
                for x in 0..modules.total() {
                    let (dot_x, dot_y) = (x * scale, y * scale);
                    let byte = rows[dot_y * side.div_ceil(8) + dot_x / 8];
                    let dark = byte & (0x80 >> (dot_x % 8)) == 0;
                    assert_eq!(dark, svg.contains(&format!("M{x} {y}h1")), "{x} {y}");
                }
            }
        }
    }

    #[test]
    fn quiet_zone_is_light_and_finder_is_dark() {
        let modules = QrImage::new(ADDRESS).ok().unwrap();
        assert!((0..modules.total()).all(|x| !modules.is_dark(x, QUIET_ZONE - 1)));
        assert!((0..7).all(|x| modules.is_dark(QUIET_ZONE + x, QUIET_ZONE)));
    }
}
