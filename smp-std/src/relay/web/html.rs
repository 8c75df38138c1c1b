//! Text into HTML: everything that comes from outside goes through [`escape`].

use qrcodegen::{QrCode, QrCodeEcc};

/// A text as HTML shows it, also inside an attribute in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // What HTML does not allow, and what turns the direction of the text around it.
            '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => escaped.push('\u{fffd}'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A link to an address that the configuration holds; anything but these schemes stays a text.
pub(super) fn link(address: &str, text: &str) -> String {
    let (address, text) = (escape(address), escape(text));
    if ["https://", "http://", "mailto:", "simplex:"].iter().any(|scheme| address.starts_with(scheme)) {
        format!(r#"<a href="{address}" rel="noopener noreferrer">{text}</a>"#)
    } else {
        text
    }
}

/// A text as a QR code, drawn with one path. `None` if it is too long for one.
pub(super) fn qr_code(text: &str, label: &str) -> Option<String> {
    use std::fmt::Write;
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).or_else(|_| QrCode::encode_text(text, QrCodeEcc::Low));
    let code = code.ok()?;
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let run = (x..size).take_while(|x| code.get_module(*x, y)).count();
            let run = i32::try_from(run).unwrap_or_default();
            if run > 0 {
                let _ = write!(path, "M{x} {y}h{run}v1h-{run}z");
            }
            x += run.max(1);
        }
    }
    // Four modules of quiet zone, as the standard asks for.
    let side = size + 8;
    Some(format!(
        r##"<svg class="qr" role="img" aria-label="{label}" viewBox="-4 -4 {side} {side}" shape-rendering="crispEdges"><rect x="-4" y="-4" width="{side}" height="{side}" fill="#fff"/><path d="{path}" fill="#000"/></svg>"##,
        label = escape(label),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_text() {
        let hostile = "</dd><script>alert('1')</script>\" onclick=\"x\0\u{202e}&amp;";
        let escaped = escape(hostile);
        assert!(!escaped.contains(['<', '>', '"', '\'', '\0', '\u{202e}']), "{escaped}");
        assert!(escaped.ends_with("&amp;amp;"));
        assert_eq!(link("javascript:alert(1)", "here"), "here");
        assert!(!link("https://a.b/\"><script>", "<b>").contains("<script"));
    }

    #[test]
    fn a_qr_code_says_its_text() {
        let text = "smp://abcdefghijklmnopqrstuvwxyz@relay.example:5223";
        let svg = qr_code(text, "the \"address\"").unwrap();
        assert!(svg.contains("aria-label=\"the &quot;address&quot;\""));
        // Drawn again from the path, it reads the same.
        let size: usize = svg.split("viewBox=\"-4 -4 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let mut dark = vec![false; size * size];
        let path = svg.split("path d=\"").nth(1).unwrap().split('"').next().unwrap();
        for part in path.split('M').skip(1) {
            let (x, rest) = part.split_once(' ').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let run: usize = rest.split('v').next().unwrap().parse().unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            dark[(y + 4) * size + x + 4..][..run].fill(true);
        }
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(size * 4, size * 4, |x, y| {
            if dark[y / 4 * size + x / 4] { 0 } else { 255 }
        });
        assert_eq!(image.detect_grids()[0].decode().unwrap().1, text);
        assert!(qr_code(&"x".repeat(3_000), "").is_none());
    }
}
