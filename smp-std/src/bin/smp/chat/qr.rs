//! Links as QR codes, drawn with half blocks: two modules on top of each other in each character.

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of light around the code. The standard asks for four; readers need two, and terminals are small.
const QUIET: i32 = 2;

/// The code in black on white whatever the colours of the terminal are, a line end after each line. `None` if the text is
/// too long for one, or the code wider than so many columns.
pub(crate) fn qr_code(text: &str, columns: usize) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let side = code.size().saturating_add(2 * QUIET);
    if usize::try_from(side).ok()? > columns {
        return None;
    }
    let dark = |x: i32, y: i32| code.get_module(x.saturating_sub(QUIET), y.saturating_sub(QUIET));
    let mut drawing = String::new();
    for y in (0..side).step_by(2) {
        drawing.push_str("\x1b[30;107m");
        for x in 0..side {
            drawing.push(match (dark(x, y), dark(x, y.saturating_add(1))) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        drawing.push_str("\x1b[0m\n");
    }
    Some(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://smp.example.com/i#abcdefghijklmnopqrstuvwx/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_ABCDE";

    /// What somebody who points a camera at the terminal gets.
    fn read(drawing: &str) -> String {
        let lines: Vec<Vec<char>> = drawing
            .lines()
            .map(|line| line.trim_start_matches("\x1b[30;107m").trim_end_matches("\x1b[0m").chars().collect())
            .collect();
        let (width, height) = (lines[0].len(), lines.len() * 2);
        const SCALE: usize = 4;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * SCALE, height * SCALE, |x, y| {
            let character = lines[y / SCALE / 2][x / SCALE];
            let dark = match (y / SCALE).is_multiple_of(2) {
                true => "█▀".contains(character),
                false => "█▄".contains(character),
            };
            if dark { 0 } else { 255 }
        });
        image.detect_grids()[0].decode().unwrap().1
    }

    #[test]
    fn a_camera_reads_the_link() {
        for text in [LINK, "a", &LINK.repeat(8)] {
            assert_eq!(read(&qr_code(text, 500).unwrap()), text);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_drawn() {
        assert!(qr_code(LINK, 30).is_none());
        assert!(qr_code(&LINK.repeat(40), 1000).is_none());
        let drawing = qr_code(LINK, 80).unwrap();
        assert!(drawing.lines().all(|line| line.starts_with("\x1b[30;107m") && line.ends_with("\x1b[0m")));
    }
}
