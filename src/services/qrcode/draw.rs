//! A code as a picture: in a terminal, as PNG, as SVG, from its address alone.
//!
//! With a logo in the middle the highest correction is used: it restores three tenths of the code,
//! and the logo hides at most a twentieth.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcode::{Color, EcLevel, QrCode};

use super::logo::Logo;

/// Modules of white around the code, which readers need.
const QUIET: usize = 4;
/// Of the width, how much a logo and the white around it take: 1 ÷ this.
const LOGO_SHARE: usize = 5;
/// Widest picture, in pixels.
const WIDEST: usize = 4_096;

/// A code that can be drawn.
#[derive(Debug)]
pub struct Drawing {
    /// Row by row; true is dark.
    dark: Vec<bool>,
    /// Modules of a row.
    width: usize,
    logo: Option<Logo>,
}

/// A picture as PNG.
#[derive(Clone, PartialEq, Eq)]
pub struct Png(pub Vec<u8>);

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// WeChat's have some 50 characters.
    #[error("the code's address is too long for a code")]
    TooLong,
    /// Too narrow for its modules, or wider than anybody prints.
    #[error("a picture of {asked} pixels cannot hold the code: it takes {least} to {WIDEST}")]
    Size {
        /// What was asked for.
        asked: usize,
        /// The least that holds it.
        least: usize,
    },
    /// The library would not write it.
    #[error("the PNG cannot be written")]
    Png(#[source] png::EncodingError),
}

impl Drawing {
    /// Of this address.
    ///
    /// # Errors
    /// It is too long.
    pub fn of(url: &str, logo: Option<Logo>) -> Result<Self, DrawError> {
        let level = if logo.is_some() { EcLevel::H } else { EcLevel::M };
        let code = QrCode::with_error_correction_level(url, level).map_err(|_| DrawError::TooLong)?;
        let dark = code.to_colors().into_iter().map(|color| color == Color::Dark).collect();
        Ok(Self { dark, width: code.width(), logo })
    }

    /// Whether a module is dark; those around the code are light.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inner = |at: usize| at.checked_sub(QUIET).filter(|at| *at < self.width);
        match (inner(x), inner(y)) {
            (Some(x), Some(y)) => self.dark.get(y * self.width + x).copied().unwrap_or_default(),
            _ => false,
        }
    }

    /// Modules of a side with the white around.
    fn side(&self) -> usize {
        self.width + 2 * QUIET
    }

    /// For a terminal, two modules to a character. Light modules are drawn, because terminals are
    /// dark; in a light one readers take it all the same, as an inverted code.
    pub fn terminal(&self) -> String {
        let mut text = String::new();
        for y in (0..self.side()).step_by(2) {
            for x in 0..self.side() {
                let light = |y: usize| !self.is_dark(x, y);
                text.push(match (light(y), y + 1 < self.side() && light(y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }

    /// As SVG of this width in pixels.
    pub fn svg(&self, size: usize) -> String {
        let side = self.side();
        let mut path = String::new();
        for y in 0..side {
            for x in (0..side).filter(|x| self.is_dark(*x, y)) {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{x} {y}h1v1h-1z");
            }
        }
        let mut logo = String::new();
        if let Some(image) = &self.logo {
            // In tenths of a module, so that no fraction is written.
            let across = side * 10 / LOGO_SHARE;
            let start = (side * 10 - across) / 2;
            let data = STANDARD.encode(image.png());
            let _ = write!(
                logo,
                "<g transform=\"scale(0.1)\"><rect x=\"{start}\" y=\"{start}\" width=\"{across}\" height=\"{across}\" \
                 fill=\"#fff\"/><image x=\"{0}\" y=\"{0}\" width=\"{1}\" height=\"{1}\" \
                 href=\"data:image/png;base64,{data}\"/></g>",
                start + 5,
                across - 10,
            );
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" viewBox=\"0 0 {side} {side}\" \
             shape-rendering=\"crispEdges\"><rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path \
             d=\"{path}\" fill=\"#000\"/>{logo}</svg>\n"
        )
    }

    /// As PNG of this width in pixels. Modules are whole pixels; what is left over is white.
    ///
    /// # Errors
    /// The code does not fit, or nobody prints so wide.
    pub fn png(&self, size: usize) -> Result<Png, DrawError> {
        let side = self.side();
        if size < side || size > WIDEST {
            return Err(DrawError::Size { asked: size, least: side });
        }
        let module = size / side;
        let margin = (size - module * side) / 2;
        let at = |pixel: usize| pixel.checked_sub(margin).map(|inner| inner / module);
        let mut pixels = Vec::with_capacity(size * size * 3);
        for y in 0..size {
            for x in 0..size {
                let dark = at(x).zip(at(y)).is_some_and(|(x, y)| self.is_dark(x, y));
                pixels.extend([if dark { 0 } else { 255 }; 3]);
            }
        }
        if let Some(logo) = &self.logo {
            let across = size / LOGO_SHARE;
            let start = (size - across) / 2;
            // White around it, as wide as half a module.
            let edge = (module / 2).max(1);
            for y in 0..across {
                for x in 0..across {
                    let inside = |at: usize| at >= edge && at + edge < across;
                    let color = if inside(x) && inside(y) {
                        logo.at(x - edge, y - edge, across - 2 * edge)
                    } else {
                        [255; 3]
                    };
                    let offset = ((start + y) * size + start + x) * 3;
                    if let Some(pixel) = pixels.get_mut(offset..offset + 3) {
                        pixel.copy_from_slice(&color);
                    }
                }
            }
        }
        encode(&pixels, size).map(Png).map_err(DrawError::Png)
    }
}

fn encode(pixels: &[u8], size: usize) -> Result<Vec<u8>, png::EncodingError> {
    let width = u32::try_from(size).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, width);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

impl std::fmt::Debug for Png {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Png({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://weixin.qq.com/q/02WTCP5d3tdaj1HDHPxwcd";

    /// What a reader that is not ours reads in a picture.
    fn read(pixels: &[u8], width: usize) -> Option<String> {
        let lightness = |x: usize, y: usize| pixels.get(y * width + x).copied().unwrap_or(255);
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, lightness);
        let grids = image.detect_grids();
        let (_, content) = grids.first()?.decode().ok()?;
        Some(content)
    }

    fn grey(png: &Png) -> (Vec<u8>, usize) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(&png.0)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (pixels.chunks(3).map(|pixel| pixel[0]).collect(), usize::try_from(info.width).unwrap())
    }

    /// A logo of one colour.
    fn logo() -> Logo {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 7, 9);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[7, 193, 96, 255].repeat(63)).unwrap();
        writer.finish().unwrap();
        Logo::read(&bytes).unwrap()
    }

    #[test]
    fn png_of_every_size_is_read_by_another_reader() {
        for size in [41, 100, 430, 1_000] {
            let (pixels, width) = grey(&Drawing::of(URL, None).unwrap().png(size).unwrap());
            assert_eq!(width, size);
            assert_eq!(read(&pixels, width).as_deref(), Some(URL), "{size}");
        }
        let drawing = Drawing::of(URL, None).unwrap();
        assert!(matches!(drawing.png(40), Err(DrawError::Size { asked: 40, least: 41 })), "{drawing:?}");
        assert!(matches!(drawing.png(4_097), Err(DrawError::Size { .. })));
    }

    #[test]
    fn code_with_a_logo_in_it_is_read_all_the_same() {
        let drawing = Drawing::of(URL, Some(logo())).unwrap();
        for size in [200, 430, 1_001] {
            let (pixels, width) = grey(&drawing.png(size).unwrap());
            assert_eq!(pixels[width * (width / 2) + width / 2], 7, "the logo's own colour is in the middle");
            assert_eq!(read(&pixels, width).as_deref(), Some(URL), "{size}");
        }
        assert!(drawing.svg(430).contains("href=\"data:image/png;base64,iVBOR"));
    }

    #[test]
    fn terminal_and_svg_have_the_same_modules_as_the_png() {
        let drawing = Drawing::of(URL, None).unwrap();
        let side = drawing.side();
        let text = drawing.terminal();
        assert!(text.lines().all(|line| line.chars().count() == side), "{text}");
        // Two rows a line, four pixels a module, for the reader.
        let mut pixels = vec![255; side * side * 16];
        for (row, line) in text.lines().enumerate() {
            for (x, letter) in line.chars().enumerate() {
                for (half, lights) in [(0, "█▀"), (1, "█▄")] {
                    let y = row * 2 + half;
                    for at in (0..16).filter(|_| y < side) {
                        pixels[(y * 4 + at / 4) * side * 4 + x * 4 + at % 4] =
                            if lights.contains(letter) { 255 } else { 0 };
                    }
                }
            }
        }
        assert_eq!(read(&pixels, side * 4).as_deref(), Some(URL), "{text}");
        let svg = drawing.svg(430);
        assert_eq!(svg.matches("h1v1h-1z").count(), drawing.dark.iter().filter(|dark| **dark).count());
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"430\""), "{svg}");
    }
}
